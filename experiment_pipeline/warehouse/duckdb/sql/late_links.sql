-- Identities whose link has changed since an earlier look, with those that they were and are linked to (D6).
select
    unnest([coalesce(link_before.anonymous_hash, link_now.anonymous_hash), link_before.known_hash, link_now.known_hash])
        as identity_hash,
    0 as events
from link_before
full join link_now using (anonymous_hash)
where link_before.known_hash is distinct from link_now.known_hash
