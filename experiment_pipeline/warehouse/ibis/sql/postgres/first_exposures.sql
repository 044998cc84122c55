-- One generation of first exposures (rule N3); a run that is killed leaves none, since this is one transaction.
create table {table} as
{select}
