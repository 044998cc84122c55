-- The least rights of an account that analyses in place: it reads one table.
grant select on events to user experiment_pipeline;
