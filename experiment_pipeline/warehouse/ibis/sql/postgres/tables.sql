-- The names of the tables that the account sees beside the table of events.
select tablename as name from pg_catalog.pg_tables where schemaname = current_schema()
