SELECT
  "t4"."variant",
  COUNT(*) AS "n",
  SUM(CAST((
    "t4"."first_ms" + 86400000
  ) <= 1772663400000 AS INT)) AS "mature_1",
  COUNT(*) AS "mature_2",
  COUNT(*) AS "mature_3"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t2"."identifier",
      MIN("t2"."at_ms") AS "first_ms",
      MIN(IFF("t2"."at_ms" = "t2"."earliest_ms", "t2"."value", NULL)) AS "variant",
      MIN("t2"."value") <> MAX("t2"."value") AS "quarantined"
    FROM (
      SELECT
        "t1"."environment_key",
        "t1"."event",
        "t1"."feature_name",
        "t1"."identifier",
        "t1"."value",
        "t1"."numeric_value",
        "t1"."timestamp",
        "t1"."at_ms",
        "t1"."event_id",
        "t1"."loaded_us",
        "t1"."lengths_hold",
        "t1"."traits",
        "t1"."metadata",
        "t1"."event_hash",
        MIN("t1"."at_ms") OVER (
          PARTITION BY "t1"."identifier"
          ORDER BY NULL ASC
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "earliest_ms"
      FROM (
        SELECT
          *
        FROM (
          /* The rows of the table of events as the expressions read them; their names are in lower case, which Snowflake is not. */
          SELECT
            environment_key AS "environment_key",
            event AS "event",
            feature_name AS "feature_name",
            identifier AS "identifier",
            value AS "value",
            CASE
              WHEN REGEXP_LIKE(value, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')
              AND ABS(TRY_TO_DOUBLE(value)) < TO_DOUBLE('inf')
              THEN TRY_TO_DOUBLE(value)
            END AS "numeric_value", /* E5: the pattern, which holds for the whole text here, guards the cast; what is too large for a double is no number */
            timestamp AS "timestamp",
            DATE_PART(epoch_millisecond, timestamp) AS "at_ms",
            COALESCE(event_id, '') AS "event_id",
            DATE_PART(epoch_microsecond, loaded_at) AS "loaded_us",
            LENGTH(identifier) BETWEEN 1 AND 2000
            AND LENGTH(COALESCE(value, '')) <= 65535
            AND LENGTH(COALESCE(feature_name, '')) <= 2000 AS "lengths_hold",
            traits AS "traits",
            metadata AS "metadata",
            ARRAY_TO_STRING(
              ARRAY_REVERSE(
                REGEXP_SUBSTR_ALL(
                  MD5(
                    CONCAT(
                      OCTET_LENGTH(environment_key),
                      ':',
                      environment_key,
                      OCTET_LENGTH(event),
                      ':',
                      event,
                      CASE
                        WHEN feature_name IS NULL
                        THEN '-'
                        ELSE CONCAT(OCTET_LENGTH(feature_name), ':', feature_name)
                      END,
                      OCTET_LENGTH(identifier),
                      ':',
                      identifier,
                      DATE_PART(epoch_millisecond, timestamp),
                      ':',
                      CASE WHEN value IS NULL THEN '-' ELSE CONCAT(OCTET_LENGTH(value), ':', value) END,
                      COALESCE(event_id, '')
                    )
                  ),
                  '..'
                )
              ),
              ''
            ) AS "event_hash" /* E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on */
          FROM events
        ) AS t0
        WHERE
          "t0"."environment_key" = 'prod'
          AND "t0"."event" IN ('$flag_exposure')
          AND "t0"."timestamp" >= TIMESTAMP_TZ_FROM_PARTS(2026, 3, 1, 22, 30, 0, 0, 'UTC')
          AND "t0"."timestamp" < TIMESTAMP_TZ_FROM_PARTS(2026, 3, 4, 22, 30, 0, 0, 'UTC')
          AND "t0"."loaded_us" <= 1772000000000000
          AND "t0"."lengths_hold"
          AND "t0"."at_ms" >= 1577836800000
          AND (
            "t0"."at_ms" * 1000
          ) <= (
            "t0"."loaded_us" + 86400000000
          )
          AND (
            NOT (
              "t0"."event" = '$flag_exposure'
            )
            OR (
              (
                COALESCE("t0"."value", '') <> ''
              )
              AND (
                COALESCE("t0"."feature_name", '') <> ''
              )
            )
          )
          AND "t0"."feature_name" = 'checkout'
      ) AS "t1"
    ) AS "t2"
    GROUP BY
      1
  ) AS "t3"
  WHERE
    NOT (
      "t3"."quarantined"
    ) AND "t3"."variant" IN ('control', 'red')
) AS "t4"
GROUP BY
  1;
