-- One generation of first exposures, in the order in which events are joined to them (rule N3).
create table {table} engine = MergeTree order by identifier as
{select}
