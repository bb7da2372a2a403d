-- The two roles of Signalbox, run once for a new database by a superuser of its cluster. The image of PostgreSQL does so for
-- Docker Compose when its volume is new; elsewhere it is
--
--   DATABASE_OWNER_PASSWORD=… DATABASE_PASSWORD=… psql --dbname signalbox --file deploy/postgres/roles.sql
--
-- `signalbox_owner` owns the database and migrates it. `signalbox` is what the processes are: it reads and writes rows, and
-- can change, empty or make no table, so nobody who gets hold of a process can either.
\set ON_ERROR_STOP on
\getenv owner_password DATABASE_OWNER_PASSWORD
\getenv password DATABASE_PASSWORD
SELECT current_database() AS name \gset

CREATE ROLE signalbox_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE signalbox LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';

ALTER DATABASE :"name" OWNER TO signalbox_owner;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO signalbox;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO signalbox;

-- Of what the migrations will make.
ALTER DEFAULT PRIVILEGES FOR ROLE signalbox_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO signalbox;
ALTER DEFAULT PRIVILEGES FOR ROLE signalbox_owner GRANT USAGE ON SEQUENCES TO signalbox;
