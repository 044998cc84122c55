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
      MOD(`t3`.`first_ms`, 3600000)
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
              WHEN REGEXP_CONTAINS(value, '\\A[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\\z')
              AND NOT is_inf(SAFE_CAST(value AS FLOAT64))
              THEN SAFE_CAST(value AS FLOAT64)
            END AS numeric_value, /* E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none */
            timestamp,
            unix_millis(timestamp) AS at_ms,
            coalesce(event_id, '') AS event_id,
            unix_micros(loaded_at) AS loaded_us,
            char_length(identifier) BETWEEN 1 AND 2000
            AND char_length(coalesce(value, '')) <= 65535
            AND char_length(coalesce(feature_name, '')) <= 2000 AS lengths_hold,
            traits,
            metadata,
            TO_HEX(
              reverse(
                MD5(
                  CONCAT(
                    CAST(BYTE_LENGTH(environment_key) AS STRING),
                    ':',
                    environment_key,
                    CAST(BYTE_LENGTH(event) AS STRING),
                    ':',
                    event,
                    CASE
                      WHEN feature_name IS NULL
                      THEN '-'
                      ELSE CONCAT(CAST(BYTE_LENGTH(feature_name) AS STRING), ':', feature_name)
                    END,
                    CAST(BYTE_LENGTH(identifier) AS STRING),
                    ':',
                    identifier,
                    CAST(unix_millis(timestamp) AS STRING),
                    ':',
                    CASE
                      WHEN value IS NULL
                      THEN '-'
                      ELSE CONCAT(CAST(BYTE_LENGTH(value) AS STRING), ':', value)
                    END,
                    coalesce(event_id, '')
                  )
                )
              )
            ) AS event_hash /* E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on */
          FROM events
        ) AS t0
        WHERE
          `t0`.`environment_key` = 'prod'
          AND `t0`.`event` IN ('$flag_exposure')
          AND `t0`.`timestamp` >= TIMESTAMP('2026-03-01T22:30:00+00:00')
          AND `t0`.`timestamp` < TIMESTAMP('2026-03-04T22:30:00+00:00')
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
