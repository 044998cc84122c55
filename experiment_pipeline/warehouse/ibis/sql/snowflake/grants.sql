-- The least rights of a role that analyses in place: it reads one table, in the schema that is in use.
grant select on events to role experiment_pipeline;
