-- What Amazon RDS puts into a PostgreSQL server: its own roles and its own database.
-- Statements are separated by a line of two dollar signs. Everything runs as rdsadmin, in database postgres.
CREATE ROLE rdstopmgr LOGIN
$$
GRANT pg_monitor TO rdstopmgr
$$
CREATE ROLE rds_replication
$$
CREATE ROLE rds_password
$$
CREATE ROLE rds_iam
$$
CREATE ROLE rds_superuser
$$
GRANT pg_monitor, pg_signal_backend, rds_replication, rds_password TO rds_superuser WITH ADMIN OPTION
$$
CREATE DATABASE rdsadmin
$$
REVOKE ALL ON DATABASE rdsadmin FROM PUBLIC
