SELECT
  `t4`.`bucket_ms`,
  `t4`.`variant`,
  `t4`.`quarantined`,
  COUNT(*) AS `n`
FROM (
  SELECT
    `t3`.`identifier`,
    `t3`.`first_ms`,
    `t3`.`variant`,
    `t3`.`quarantined`,
    `t3`.`first_ms` - (
      `t3`.`first_ms` % 3600000
    ) AS `bucket_ms`
  FROM (
    SELECT
      `t2`.`identifier`,
      MIN(`t2`.`at_ms`) AS `first_ms`,
      MIN(IF(`t2`.`at_ms` = `t2`.`earliest_ms`, `t2`.`value`, NULL)) AS `variant`,
      MIN(`t2`.`value`) <> MAX(`t2`.`value`) AS `quarantined`
    FROM (
      SELECT
        `t1`.`environment_key`,
        `t1`.`event`,
        `t1`.`feature_name`,
        `t1`.`identifier`,
        `t1`.`value`,
        `t1`.`numeric_value`,
        `t1`.`timestamp`,
        `t1`.`at_ms`,
        `t1`.`event_id`,
        `t1`.`loaded_us`,
        `t1`.`lengths_hold`,
        `t1`.`traits`,
        `t1`.`metadata`,
        `t1`.`event_hash`,
        MIN(`t1`.`at_ms`) OVER (
          PARTITION BY `t1`.`identifier`
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS `earliest_ms`
      FROM (
        SELECT
          *
        FROM (
          /* The rows of the table of events as the expressions read them. */
          SELECT
            environment_key,
            event,
            feature_name,
            identifier,
            value,
            CASE
              WHEN REGEXP_LIKE(value, '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?\\z')
              AND ABS(TRY_CAST(value AS DOUBLE)) < CAST('infinity' AS DOUBLE)
              THEN TRY_CAST(value AS DOUBLE)
            END AS numeric_value, /* E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none */
            timestamp,
            UNIX_MILLIS(timestamp) AS at_ms,
            COALESCE(event_id, '') AS event_id,
            UNIX_MICROS(loaded_at) AS loaded_us,
            LENGTH(identifier) BETWEEN 1 AND 2000
            AND LENGTH(COALESCE(value, '')) <= 65535
            AND LENGTH(COALESCE(feature_name, '')) <= 2000 AS lengths_hold,
            traits,
            metadata,
            ARRAY_JOIN(
              REVERSE(
                REGEXP_EXTRACT_ALL(
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
                      UNIX_MILLIS(timestamp),
                      ':',
                      CASE WHEN value IS NULL THEN '-' ELSE CONCAT(OCTET_LENGTH(value), ':', value) END,
                      COALESCE(event_id, '')
                    )
                  ),
                  '..',
                  0
                )
              ),
              ''
            ) AS event_hash /* E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on */
          FROM events
        ) AS t0
        WHERE
          `t0`.`environment_key` = 'prod'
          AND `t0`.`event` IN ('$flag_exposure')
          AND `t0`.`timestamp` >= CAST('2026-03-01T22:30:00+00:00' AS TIMESTAMP)
          AND `t0`.`timestamp` < CAST('2026-03-04T22:30:00+00:00' AS TIMESTAMP)
          AND `t0`.`loaded_us` <= 1772000000000000
          AND `t0`.`lengths_hold`
          AND `t0`.`at_ms` >= 1577836800000
          AND (
            `t0`.`at_ms` * 1000
          ) <= (
            `t0`.`loaded_us` + 86400000000
          )
          AND (
            NOT (
              `t0`.`event` = '$flag_exposure'
            )
            OR (
              (
                COALESCE(`t0`.`value`, '') <> ''
              )
              AND (
                COALESCE(`t0`.`feature_name`, '') <> ''
              )
            )
          )
          AND `t0`.`feature_name` = 'checkout'
      ) AS `t1`
    ) AS `t2`
    GROUP BY
      1
  ) AS `t3`
) AS `t4`
GROUP BY
  1,
  2,
  3;
