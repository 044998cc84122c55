-- Who saw which variant of which flag, as often as it was shown: the first time counts.
select user_id, experiment, variation, device, exposed_at
from {{ ref('raw_assignments') }}
