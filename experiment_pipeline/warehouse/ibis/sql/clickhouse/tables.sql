-- The names of the tables that the account sees beside the table of events.
select name from system.tables where database = currentDatabase()
