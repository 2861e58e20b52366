-- What Amazon RDS puts into a MySQL 8.4+ server: the tables and procedures of schema mysql.
-- Statements are separated by a line of two dollar signs. Everything runs with sql_log_bin=0 as rdsadmin@localhost.
CREATE TABLE mysql.rds_configuration (
  name VARCHAR(100) NOT NULL PRIMARY KEY,
  value VARCHAR(100) DEFAULT NULL,
  description VARCHAR(300) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
$$
INSERT INTO mysql.rds_configuration VALUES
  ('binlog retention hours', NULL, 'binlog retention hours specifies the duration in hours before binary logs are automatically deleted.'),
  ('source delay', '0', 'source delay specifies replication delay in seconds between current instance and its master.'),
  ('target delay', '0', 'target delay specifies replication delay in seconds between current instance and its future read-replica.')
$$
CREATE TABLE mysql.rds_history (
  action_timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  called_by_user VARCHAR(384) NOT NULL,
  action VARCHAR(30) NOT NULL,
  mysql_version VARCHAR(50) NOT NULL,
  master_host VARCHAR(255) DEFAULT NULL,
  master_port INT DEFAULT NULL,
  master_user VARCHAR(128) DEFAULT NULL,
  master_log_file VARCHAR(512) DEFAULT NULL,
  master_log_pos BIGINT DEFAULT NULL,
  KEY (action_timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
$$
CREATE PROCEDURE mysql.rds_show_configuration()
  SQL SECURITY DEFINER READS SQL DATA
SELECT name, value, description FROM mysql.rds_configuration ORDER BY name
$$
CREATE PROCEDURE mysql.rds_set_configuration(IN p_name VARCHAR(30), IN p_value INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE was_logged INT DEFAULT @@SESSION.sql_log_bin;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET SESSION sql_log_bin = was_logged; RESIGNAL; END;
  IF (SELECT COUNT(*) FROM mysql.rds_configuration WHERE name = p_name) = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Invalid configuration name. See mysql.rds_show_configuration for the names.';
  END IF;
  IF p_name = 'binlog retention hours' AND p_value IS NOT NULL AND (p_value < 1 OR p_value > 168) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'For binlog retention hours the value must be between 1 and 168 inclusive or be NULL';
  END IF;
  IF p_name IN ('source delay', 'target delay') AND (p_value IS NULL OR p_value < 0 OR p_value > 86400) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'For source delay and target delay the value must be between 0 and 86400 inclusive';
  END IF;
  -- a value belongs to this server: it is not replicated, and it can be set on a replica that is read only
  SET SESSION sql_log_bin = 0;
  UPDATE mysql.rds_configuration SET value = p_value WHERE name = p_name;
  COMMIT;
  SET SESSION sql_log_bin = was_logged;
END
$$
CREATE PROCEDURE mysql.rds_kill(IN thread BIGINT)
  SQL SECURITY DEFINER
BEGIN
  IF (SELECT COUNT(*) FROM information_schema.processlist WHERE id = thread AND user IN ('rdsadmin', 'system user', 'rdsrepladmin', 'event_scheduler')) > 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Cannot kill a thread of the system';
  END IF;
  KILL CONNECTION thread;
END
$$
CREATE PROCEDURE mysql.rds_kill_query(IN thread BIGINT)
  SQL SECURITY DEFINER
BEGIN
  IF (SELECT COUNT(*) FROM information_schema.processlist WHERE id = thread AND user IN ('rdsadmin', 'system user', 'rdsrepladmin', 'event_scheduler')) > 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Cannot kill a thread of the system';
  END IF;
  KILL QUERY thread;
END
$$
-- the helpers run with the rights of their caller: rdsadmin in the procedures below, and nobody else gets far with them
CREATE PROCEDURE mysql.rds_check_external()
  SQL SECURITY INVOKER READS SQL DATA
BEGIN
  IF (SELECT COUNT(*) FROM mysql.rds_history WHERE action = 'disable set master') > 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'This DB instance is a read replica that Amazon RDS manages: its source cannot be set or reset';
  END IF;
  IF @@SESSION.autocommit = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'autocommit must be enabled to run this procedure';
  END IF;
END
$$
CREATE PROCEDURE mysql.rds_check_stopped()
  SQL SECURITY INVOKER READS SQL DATA
BEGIN
  IF (SELECT COUNT(*) FROM information_schema.processlist p WHERE p.user = 'system user') > 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Replication is running. Call mysql.rds_stop_replication first';
  END IF;
END
$$
CREATE PROCEDURE mysql.rds_note_action(IN p_caller VARCHAR(384), IN p_action VARCHAR(30), IN p_host VARCHAR(255), IN p_port INT, IN p_user VARCHAR(128),
                                       IN p_file VARCHAR(512), IN p_position BIGINT)
  SQL SECURITY INVOKER MODIFIES SQL DATA
BEGIN
  DECLARE was_logged INT DEFAULT @@SESSION.sql_log_bin;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET SESSION sql_log_bin = was_logged; RESIGNAL; END;
  SET SESSION sql_log_bin = 0;
  INSERT INTO mysql.rds_history VALUES (CURRENT_TIMESTAMP, p_caller, p_action, VERSION(), p_host, p_port, p_user, p_file, p_position);
  COMMIT;
  SET SESSION sql_log_bin = was_logged;
END
$$
CREATE PROCEDURE mysql.rds_stop_replication()
  SQL SECURITY DEFINER
BEGIN
  IF (SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'system user') = 0 THEN
    SELECT 'Slave is already stopped or may not be configured. Verify using SHOW REPLICA STATUS\\G;' AS Message;
  ELSE
    STOP REPLICA;
    CALL mysql.rds_note_action(USER(), 'stop replica', NULL, NULL, NULL, NULL, NULL);
    SELECT 'Slave is down or disabled' AS Message;
  END IF;
END
$$
CREATE PROCEDURE mysql.rds_start_replication()
  SQL SECURITY DEFINER
BEGIN
  DECLARE looks INT DEFAULT 0;
  DECLARE running INT DEFAULT 0;
  START REPLICA;
  CALL mysql.rds_note_action(USER(), 'start replica', NULL, NULL, NULL, NULL, NULL);
  WHILE IFNULL(running, 0) < 2 AND looks < 7 DO
    DO SLEEP(0.3);
    -- the receiver says in its state whether it has connected; the threads of an applier in error are gone
    SELECT MAX(state LIKE 'Waiting for source to send event%' OR state LIKE 'Queueing source event%' OR state LIKE 'Waiting for the replica SQL thread%')
           + MAX(command = 'Query') INTO running FROM information_schema.processlist WHERE user = 'system user';
    SET looks = looks + 1;
  END WHILE;
  IF running = 2 THEN
    SELECT 'Slave running normally.' AS Message;
  ELSE
    SELECT 'Slave has encountered an error. Run SHOW REPLICA STATUS\\G; to see the error.' AS Message;
  END IF;
END
$$
CREATE PROCEDURE mysql.rds_change_source(IN p_options TEXT)
  SQL SECURITY INVOKER
BEGIN
  SET @rds_statement = CONCAT('CHANGE REPLICATION SOURCE TO ', p_options);
  PREPARE rds_statement FROM @rds_statement;
  SET @rds_statement = NULL;
  EXECUTE rds_statement;
  DEALLOCATE PREPARE rds_statement;
END
$$
CREATE PROCEDURE mysql.rds_set_external_source_with_delay(IN host VARCHAR(255), IN port INT, IN user TEXT, IN passwd TEXT, IN name TEXT, IN pos BIGINT UNSIGNED,
                                                          IN enable_ssl_encryption BOOL, IN delay INT)
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_check_external();
  CALL mysql.rds_check_stopped();
  CALL mysql.rds_change_source(CONCAT('SOURCE_HOST=', QUOTE(host), ', SOURCE_PORT=', port, ', SOURCE_USER=', QUOTE(user), ', SOURCE_PASSWORD=', QUOTE(passwd),
    ', SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE=', QUOTE(name), ', SOURCE_LOG_POS=', pos, ', SOURCE_SSL=', IF(enable_ssl_encryption, 1, 0),
    ', SOURCE_SSL_VERIFY_SERVER_CERT=0, GET_SOURCE_PUBLIC_KEY=0, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=600, SOURCE_DELAY=', delay));
  CALL mysql.rds_note_action(USER(), 'set source', host, port, user, name, pos);
END
$$
CREATE PROCEDURE mysql.rds_set_external_source(IN host VARCHAR(255), IN port INT, IN user TEXT, IN passwd TEXT, IN name TEXT, IN pos BIGINT UNSIGNED,
                                               IN enable_ssl_encryption BOOL)
  SQL SECURITY DEFINER
CALL mysql.rds_set_external_source_with_delay(host, port, user, passwd, name, pos, enable_ssl_encryption, 0)
$$
CREATE PROCEDURE mysql.rds_set_external_source_with_auto_position(IN host VARCHAR(255), IN port INT, IN user TEXT, IN passwd TEXT, IN enable_ssl_encryption BOOL,
                                                                  IN delay INT)
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_check_external();
  CALL mysql.rds_check_stopped();
  CALL mysql.rds_change_source(CONCAT('SOURCE_HOST=', QUOTE(host), ', SOURCE_PORT=', port, ', SOURCE_USER=', QUOTE(user), ', SOURCE_PASSWORD=', QUOTE(passwd),
    ', SOURCE_AUTO_POSITION=1, SOURCE_SSL=', IF(enable_ssl_encryption, 1, 0),
    ', SOURCE_SSL_VERIFY_SERVER_CERT=0, GET_SOURCE_PUBLIC_KEY=0, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=600, SOURCE_DELAY=', delay));
  CALL mysql.rds_note_action(USER(), 'set source auto', host, port, user, NULL, NULL);
END
$$
CREATE PROCEDURE mysql.rds_set_source_auto_position(IN mode INT)
  SQL SECURITY DEFINER
BEGIN
  STOP REPLICA;
  CALL mysql.rds_change_source(CONCAT('SOURCE_AUTO_POSITION=', IF(mode = 1, 1, 0)));
  START REPLICA;
  SELECT 'Source Auto Position has been set.' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_reset_external_source()
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_check_external();
  STOP REPLICA;
  RESET REPLICA ALL;
  CALL mysql.rds_note_action(USER(), 'reset replica', NULL, NULL, NULL, NULL, NULL);
  SELECT 'Slave has been reset' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_set_source_delay(IN delay INT)
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_set_configuration('source delay', delay);
  STOP REPLICA;
  CALL mysql.rds_change_source(CONCAT('SOURCE_DELAY=', delay));
  START REPLICA;
  SELECT 'source delay is set successfully.' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_next_source_log(IN curr_source_log INT)
  SQL SECURITY DEFINER
BEGIN
  STOP REPLICA;
  CALL mysql.rds_change_source(CONCAT('SOURCE_LOG_FILE=''mysql-bin-changelog.', LPAD(curr_source_log + 1, 6, '0'), ''', SOURCE_LOG_POS=4'));
  START REPLICA;
  SELECT 'Source Log Position has been set to start of next log' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_skip_repl_error()
  SQL SECURITY DEFINER
BEGIN
  STOP REPLICA;
  SET GLOBAL sql_replica_skip_counter = 1;
  START REPLICA;
  SELECT 'Statement in error has been skipped' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_rotate_general_log() SQL SECURITY DEFINER FLUSH GENERAL LOGS
$$
CREATE PROCEDURE mysql.rds_rotate_slow_log() SQL SECURITY DEFINER FLUSH SLOW LOGS
$$
CREATE PROCEDURE mysql.rds_innodb_buffer_pool_dump_now() SQL SECURITY DEFINER SET GLOBAL innodb_buffer_pool_dump_now = ON
$$
CREATE PROCEDURE mysql.rds_innodb_buffer_pool_load_now() SQL SECURITY DEFINER SET GLOBAL innodb_buffer_pool_load_now = ON
$$
CREATE PROCEDURE mysql.rds_innodb_buffer_pool_load_abort() SQL SECURITY DEFINER SET GLOBAL innodb_buffer_pool_load_abort = ON
