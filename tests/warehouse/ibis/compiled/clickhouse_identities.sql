SELECT
  "t4"."variant" AS "variant",
  COUNT(*) AS "n",
  SUM(CAST((
    "t4"."first_ms" + 86400000
  ) <= 1772663400000 AS Nullable(Int32))) AS "mature_1",
  COUNT(*) AS "mature_2",
  COUNT(*) AS "mature_3"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t2"."identifier" AS "identifier",
      MIN("t2"."at_ms") AS "first_ms",
      minIf("t2"."value", "t2"."at_ms" = "t2"."earliest_ms") AS "variant",
      MIN("t2"."value") <> MAX("t2"."value") AS "quarantined"
    FROM (
      SELECT
        "t1"."environment_key" AS "environment_key",
        "t1"."event" AS "event",
        "t1"."feature_name" AS "feature_name",
        "t1"."identifier" AS "identifier",
        "t1"."value" AS "value",
        "t1"."numeric_value" AS "numeric_value",
        "t1"."timestamp" AS "timestamp",
        "t1"."at_ms" AS "at_ms",
        "t1"."event_id" AS "event_id",
        "t1"."loaded_us" AS "loaded_us",
        "t1"."lengths_hold" AS "lengths_hold",
        "t1"."traits" AS "traits",
        "t1"."metadata" AS "metadata",
        "t1"."event_hash" AS "event_hash",
        MIN("t1"."at_ms") OVER (
          PARTITION BY "t1"."identifier"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "earliest_ms"
      FROM (
        SELECT
          *
        FROM (
          /* The rows of the table of events as the expressions read them: an empty value is none where it may not be null. */
          SELECT
            environment_key,
            event,
            feature_name,
            identifier,
            value,
            CASE
              WHEN match(coalesce(value, ''), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?\\z')
              AND isFinite(toFloat64OrZero(coalesce(value, '')))
              THEN toFloat64OrNull(coalesce(value, ''))
            END AS numeric_value, /* E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none */
            timestamp,
            toUnixTimestamp64Milli(timestamp) AS at_ms,
            coalesce(event_id, '') AS event_id,
            toUnixTimestamp64Micro(loaded_at) AS loaded_us,
            LENGTH(identifier) /* what has few bytes has few characters, which take longer to count */ > 0
            AND (
              LENGTH(identifier) <= 2000 OR lengthUTF8(identifier) <= 2000
            )
            AND (
              LENGTH(coalesce(value, '')) <= 65535 OR lengthUTF8(coalesce(value, '')) <= 65535
            )
            AND (
              LENGTH(coalesce(feature_name, '')) <= 2000
              OR lengthUTF8(coalesce(feature_name, '')) <= 2000
            ) AS lengths_hold,
            traits,
            metadata,
            LOWER(
              HEX(
                reverse(
                  MD5(
                    CONCAT(
                      toString(LENGTH(environment_key)),
                      ':',
                      environment_key,
                      toString(LENGTH(event)),
                      ':',
                      event,
                      CASE
                        WHEN feature_name IS NULL
                        THEN '-'
                        ELSE CONCAT(toString(LENGTH(coalesce(feature_name, ''))), ':', coalesce(feature_name, ''))
                      END,
                      toString(LENGTH(identifier)),
                      ':',
                      identifier,
                      toString(toUnixTimestamp64Milli(timestamp)),
                      ':',
                      CASE
                        WHEN value IS NULL
                        THEN '-'
                        ELSE CONCAT(toString(LENGTH(coalesce(value, ''))), ':', coalesce(value, ''))
                      END,
                      coalesce(event_id, '')
                    )
                  )
                )
              )
            ) AS event_hash /* E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on */
          FROM events
        ) AS t0
        WHERE
          "t0"."environment_key" = 'prod'
          AND "t0"."event" IN ('$flag_exposure')
          AND "t0"."timestamp" >= parseDateTimeBestEffort('2026-03-01T22:30:00+00:00', 'UTC')
          AND "t0"."timestamp" < parseDateTimeBestEffort('2026-03-04T22:30:00+00:00', 'UTC')
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
      "t2"."identifier"
  ) AS "t3"
  WHERE
    NOT (
      "t3"."quarantined"
    ) AND "t3"."variant" IN ('control', 'red')
) AS "t4"
GROUP BY
  "t4"."variant";
