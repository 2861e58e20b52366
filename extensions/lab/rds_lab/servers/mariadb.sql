-- What Amazon RDS puts into a MariaDB server: its own accounts' tables and the procedures of schema mysql.
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
  master_log_pos BIGINT DEFAULT NULL
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
  IF p_name = 'binlog retention hours' AND p_value IS NOT NULL AND (p_value < 0 OR p_value > 168) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'For binlog retention hours the value must be between 0 and 168 inclusive or be NULL';
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
CREATE PROCEDURE mysql.rds_kill_query_id(IN query BIGINT)
  SQL SECURITY DEFINER
BEGIN
  IF (SELECT COUNT(*) FROM information_schema.processlist WHERE query_id = query AND user IN ('rdsadmin', 'system user', 'rdsrepladmin', 'event_scheduler')) > 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Cannot kill a thread of the system';
  END IF;
  KILL QUERY ID query;
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
  IF (SELECT COUNT(*) FROM information_schema.processlist p WHERE p.user = 'system user' AND p.command IN ('Slave_IO', 'Slave_SQL')) > 0 THEN
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
  IF (SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'system user' AND command IN ('Slave_IO', 'Slave_SQL')) = 0 THEN
    SELECT 'Slave is already stopped or may not be configured. Verify using SHOW SLAVE STATUS\\G;' AS Message;
  ELSE
    STOP SLAVE;
    CALL mysql.rds_note_action(USER(), 'stop slave', NULL, NULL, NULL, NULL, NULL);
    SELECT 'Slave is down or disabled' AS Message;
  END IF;
END
$$
CREATE PROCEDURE mysql.rds_start_replication()
  SQL SECURITY DEFINER
BEGIN
  DECLARE looks INT DEFAULT 0;
  DECLARE running VARCHAR(10) DEFAULT 'OFF';
  START SLAVE;
  CALL mysql.rds_note_action(USER(), 'start slave', NULL, NULL, NULL, NULL, NULL);
  WHILE running <> 'ON' AND looks < 7 DO
    DO SLEEP(0.3);
    SELECT variable_value INTO running FROM information_schema.global_status WHERE variable_name = 'SLAVE_RUNNING';
    SET looks = looks + 1;
  END WHILE;
  IF running = 'ON' THEN
    SELECT 'Slave running normally.' AS Message;
  ELSE
    SELECT 'Slave has encountered an error. Run SHOW SLAVE STATUS\\G; to see the error.' AS Message;
  END IF;
END
$$
CREATE PROCEDURE mysql.rds_change_source(IN p_options TEXT)
  SQL SECURITY INVOKER
BEGIN
  EXECUTE IMMEDIATE CONCAT('CHANGE MASTER TO ', p_options);
END
$$
CREATE PROCEDURE mysql.rds_set_external_master_with_delay(IN host VARCHAR(255), IN port INT, IN user TEXT, IN passwd TEXT, IN name TEXT, IN pos BIGINT UNSIGNED,
                                                          IN enable_ssl_encryption BOOL, IN delay INT)
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_check_external();
  CALL mysql.rds_check_stopped();
  CALL mysql.rds_change_source(CONCAT('MASTER_HOST=', QUOTE(host), ', MASTER_PORT=', port, ', MASTER_USER=', QUOTE(user), ', MASTER_PASSWORD=', QUOTE(passwd),
    ', MASTER_LOG_FILE=', QUOTE(name), ', MASTER_LOG_POS=', pos, ', MASTER_SSL=', IF(enable_ssl_encryption, 1, 0), ', MASTER_SSL_VERIFY_SERVER_CERT=0', ', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=no',
    ', MASTER_DELAY=', delay));
  CALL mysql.rds_note_action(USER(), 'set master', host, port, user, name, pos);
END
$$
CREATE PROCEDURE mysql.rds_set_external_master(IN host VARCHAR(255), IN port INT, IN user TEXT, IN passwd TEXT, IN name TEXT, IN pos BIGINT UNSIGNED,
                                               IN enable_ssl_encryption BOOL)
  SQL SECURITY DEFINER
CALL mysql.rds_set_external_master_with_delay(host, port, user, passwd, name, pos, enable_ssl_encryption, 0)
$$
CREATE PROCEDURE mysql.rds_set_external_master_gtid(IN host VARCHAR(255), IN port INT, IN user TEXT, IN passwd TEXT, IN gtid TEXT, IN enable_ssl_encryption BOOL)
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_check_external();
  CALL mysql.rds_check_stopped();
  EXECUTE IMMEDIATE CONCAT('SET GLOBAL gtid_slave_pos = ', QUOTE(gtid));
  CALL mysql.rds_change_source(CONCAT('MASTER_HOST=', QUOTE(host), ', MASTER_PORT=', port, ', MASTER_USER=', QUOTE(user), ', MASTER_PASSWORD=', QUOTE(passwd),
    ', MASTER_SSL=', IF(enable_ssl_encryption, 1, 0), ', MASTER_SSL_VERIFY_SERVER_CERT=0', ', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos'));
  CALL mysql.rds_note_action(USER(), 'set master gtid', host, port, user, gtid, NULL);
END
$$
CREATE PROCEDURE mysql.rds_reset_external_master()
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_check_external();
  STOP SLAVE;
  RESET SLAVE ALL;
  CALL mysql.rds_note_action(USER(), 'reset slave', NULL, NULL, NULL, NULL, NULL);
  SELECT 'Slave has been reset' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_set_source_delay(IN delay INT)
  SQL SECURITY DEFINER
BEGIN
  CALL mysql.rds_set_configuration('source delay', delay);
  STOP SLAVE;
  CALL mysql.rds_change_source(CONCAT('MASTER_DELAY=', delay));
  START SLAVE;
  SELECT 'source delay is set successfully.' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_next_master_log(IN curr_master_log INT)
  SQL SECURITY DEFINER
BEGIN
  STOP SLAVE;
  CALL mysql.rds_change_source(CONCAT('MASTER_LOG_FILE=''mysql-bin-changelog.', LPAD(curr_master_log + 1, 6, '0'), ''', MASTER_LOG_POS=4, MASTER_USE_GTID=no'));
  START SLAVE;
  SELECT 'Master Log Position has been set to start of next log' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_skip_repl_error()
  SQL SECURITY DEFINER
BEGIN
  STOP SLAVE;
  SET GLOBAL sql_slave_skip_counter = 1;
  START SLAVE;
  SELECT 'Statement in error has been skipped' AS Message;
END
$$
CREATE PROCEDURE mysql.rds_replica_status()
  SQL SECURITY DEFINER
SHOW REPLICA STATUS
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
