-- The books of what is published: for each table the state in which it was counted and covered. Takes nothing, returns nothing; may be
-- run again at any time, also by two services at once.
begin;
select pg_catalog.pg_advisory_xact_lock(7120314161);
create schema if not exists brickyard;
create table if not exists brickyard.publication (
    relation text primary key,
    state text not null,
    nrows bigint,
    -- the table's coverage as ranges of HEALPix cells, in the ASCII form of MOC 2.0; null where it was not computed
    moc text
);
-- what is published, in one word: equal words, equal TAP_SCHEMA
create table if not exists brickyard.published (word text not null);
commit;
