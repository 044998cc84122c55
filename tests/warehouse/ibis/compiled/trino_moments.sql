SELECT
  "t12"."variant",
  COUNT(*) AS "identities",
  MAX("t12"."mean_y_1") AS "center_y_1",
  SUM("t12"."y_1" - "t12"."mean_y_1") AS "dy_1",
  SUM((
    "t12"."y_1" - "t12"."mean_y_1"
  ) * (
    "t12"."y_1" - "t12"."mean_y_1"
  )) AS "dyy_1",
  SUM(CAST("t12"."y_1" <> 0 AS INTEGER)) AS "nonzero_y_1",
  MAX("t12"."y_1") AS "largest_1",
  COUNT("t12"."y_1") AS "measured_1",
  SUM("t12"."analysed_1") AS "analysed_1",
  SUM("t12"."with_value_1") AS "with_value_1",
  SUM("t12"."with_event_1") AS "with_event_1",
  SUM("t12"."values_1") AS "values_1",
  SUM("t12"."invalid_values_1") AS "invalid_values_1",
  SUM("t12"."capped_1") AS "capped_1",
  MAX("t12"."cap_1") AS "cap_1",
  MAX("t12"."mean_y_2") AS "center_y_2",
  SUM("t12"."y_2" - "t12"."mean_y_2") AS "dy_2",
  SUM((
    "t12"."y_2" - "t12"."mean_y_2"
  ) * (
    "t12"."y_2" - "t12"."mean_y_2"
  )) AS "dyy_2",
  SUM(CAST("t12"."y_2" <> 0 AS INTEGER)) AS "nonzero_y_2",
  MAX("t12"."mean_x_2") AS "center_x_2",
  SUM("t12"."x_2" - "t12"."mean_x_2") AS "dx_2",
  SUM((
    "t12"."x_2" - "t12"."mean_x_2"
  ) * (
    "t12"."x_2" - "t12"."mean_x_2"
  )) AS "dxx_2",
  SUM(CAST("t12"."x_2" <> 0 AS INTEGER)) AS "nonzero_x_2",
  SUM((
    "t12"."x_2" - "t12"."mean_x_2"
  ) * (
    "t12"."y_2" - "t12"."mean_y_2"
  )) AS "dxy_2",
  MAX("t12"."y_2") AS "largest_2",
  COUNT("t12"."y_2") AS "measured_2",
  SUM("t12"."analysed_2") AS "analysed_2",
  SUM("t12"."with_value_2") AS "with_value_2",
  SUM("t12"."with_event_2") AS "with_event_2",
  SUM("t12"."values_2") AS "values_2",
  SUM("t12"."invalid_values_2") AS "invalid_values_2",
  MAX("t12"."mean_y_3") AS "center_y_3",
  SUM("t12"."y_3" - "t12"."mean_y_3") AS "dy_3",
  SUM((
    "t12"."y_3" - "t12"."mean_y_3"
  ) * (
    "t12"."y_3" - "t12"."mean_y_3"
  )) AS "dyy_3",
  SUM(CAST("t12"."y_3" <> 0 AS INTEGER)) AS "nonzero_y_3",
  MAX("t12"."y_3") AS "largest_3",
  COUNT("t12"."y_3") AS "measured_3",
  SUM("t12"."analysed_3") AS "analysed_3",
  SUM("t12"."with_value_3") AS "with_value_3",
  SUM("t12"."with_event_3") AS "with_event_3",
  SUM("t12"."values_3") AS "values_3",
  SUM("t12"."invalid_values_3") AS "invalid_values_3"
FROM (
  SELECT
    "t11"."first_ms",
    "t11"."variant",
    "t11"."quarantined",
    "t11"."analysed_1",
    "t11"."with_value_1",
    "t11"."with_event_1",
    "t11"."values_1",
    "t11"."invalid_values_1",
    "t11"."y_1",
    "t11"."analysed_2",
    "t11"."with_value_2",
    "t11"."with_event_2",
    "t11"."values_2",
    "t11"."invalid_values_2",
    "t11"."y_2",
    "t11"."x_2",
    "t11"."analysed_3",
    "t11"."with_value_3",
    "t11"."with_event_3",
    "t11"."values_3",
    "t11"."invalid_values_3",
    "t11"."y_3",
    "t11"."cap_1",
    "t11"."capped_1",
    AVG("t11"."y_1") OVER (
      PARTITION BY "t11"."variant"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "mean_y_1",
    AVG("t11"."y_2") OVER (
      PARTITION BY "t11"."variant"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "mean_y_2",
    AVG("t11"."x_2") OVER (
      PARTITION BY "t11"."variant"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "mean_x_2",
    AVG("t11"."y_3") OVER (
      PARTITION BY "t11"."variant"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "mean_y_3"
  FROM (
    SELECT
      "t10"."first_ms",
      "t10"."variant",
      "t10"."quarantined",
      IF((
        "t10"."first_ms" + 86400000
      ) <= 1772663400000, 1, 0) AS "analysed_1",
      IF((
        "t10"."first_ms" + 86400000
      ) <= 1772663400000, 1, 0) AS "with_value_1",
      IF(
        (
          (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000
        )
        AND (
          (
            0 + "t10"."events_1_0"
          ) > 0
        ),
        1,
        0
      ) AS "with_event_1",
      IF((
        "t10"."first_ms" + 86400000
      ) <= 1772663400000, 0 + "t10"."events_1_0", 0) AS "values_1",
      IF(
        (
          "t10"."first_ms" + 86400000
        ) <= 1772663400000,
        (
          0 + "t10"."events_1_0"
        ) - (
          0 + "t10"."numbers_1_0"
        ),
        0
      ) AS "invalid_values_1",
      IF(
        IF(
          (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000,
          COALESCE("t10"."value_1_0", CAST(0.0 AS DOUBLE)),
          CAST(NULL AS DOUBLE)
        ) > CAST(100.0 AS DOUBLE),
        CAST(100.0 AS DOUBLE),
        IF(
          (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000,
          COALESCE("t10"."value_1_0", CAST(0.0 AS DOUBLE)),
          CAST(NULL AS DOUBLE)
        )
      ) AS "y_1",
      IF(TRUE, 1, 0) AS "analysed_2",
      IF(TRUE AND (
        "t10"."numbers_2_0" > 0
      ), 1, 0) AS "with_value_2",
      IF(TRUE AND (
        (
          0 + "t10"."events_2_0" + "t10"."events_2_1"
        ) > 0
      ), 1, 0) AS "with_event_2",
      IF(TRUE, 0 + "t10"."events_2_0", 0) AS "values_2",
      IF(TRUE, (
        0 + "t10"."events_2_0"
      ) - (
        0 + "t10"."numbers_2_0"
      ), 0) AS "invalid_values_2",
      IF(
        TRUE AND (
          "t10"."numbers_2_0" > 0
        ),
        COALESCE("t10"."value_2_0", CAST(0.0 AS DOUBLE)),
        CAST(NULL AS DOUBLE)
      ) AS "y_2",
      IF(
        TRUE AND (
          "t10"."numbers_2_0" > 0
        ),
        COALESCE(CAST("t10"."value_2_1" AS DOUBLE), CAST(0.0 AS DOUBLE)),
        CAST(NULL AS DOUBLE)
      ) AS "x_2",
      IF(TRUE, 1, 0) AS "analysed_3",
      IF(TRUE, 1, 0) AS "with_value_3",
      IF(TRUE AND (
        (
          0 + "t10"."events_3_0"
        ) > 0
      ), 1, 0) AS "with_event_3",
      IF(TRUE, 0, 0) AS "values_3",
      IF(TRUE, 0 - 0, 0) AS "invalid_values_3",
      IF(
        TRUE,
        COALESCE(CAST("t10"."value_3_0" AS DOUBLE), CAST(0.0 AS DOUBLE)),
        CAST(NULL AS DOUBLE)
      ) AS "y_3",
      CAST(100.0 AS DOUBLE) AS "cap_1",
      IF(
        IF(
          (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000,
          COALESCE("t10"."value_1_0", CAST(0.0 AS DOUBLE)),
          CAST(NULL AS DOUBLE)
        ) > CAST(100.0 AS DOUBLE),
        1,
        0
      ) AS "capped_1"
    FROM (
      SELECT
        "t9"."identifier",
        "t9"."first_ms",
        "t9"."variant",
        "t9"."quarantined",
        SUM("t9"."numeric_value") FILTER(WHERE
          (
            "t9"."event" = 'purchase'
          )
          AND (
            (
              "t9"."at_ms" - "t9"."first_ms"
            ) >= 0
          )
          AND (
            (
              "t9"."at_ms" - "t9"."first_ms"
            ) < 86400000
          )) AS "value_1_0",
        SUM(
          IF(
            (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) < 86400000
            ),
            1,
            0
          )
        ) AS "events_1_0",
        SUM(
          IF(
            (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) < 86400000
            )
            AND (
              NOT "t9"."numeric_value" IS NULL
            ),
            1,
            0
          )
        ) AS "numbers_1_0",
        AVG("t9"."numeric_value") FILTER(WHERE
          (
            "t9"."event" = 'purchase'
          )
          AND (
            (
              "t9"."at_ms" - "t9"."first_ms"
            ) >= 0
          )) AS "value_2_0",
        SUM(
          IF(
            (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            ),
            1,
            0
          )
        ) AS "events_2_0",
        SUM(
          IF(
            (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            AND (
              NOT "t9"."numeric_value" IS NULL
            ),
            1,
            0
          )
        ) AS "numbers_2_0",
        SUM(
          IF(
            (
              "t9"."event" = 'session'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            ),
            1,
            0
          )
        ) AS "value_2_1",
        SUM(
          IF(
            (
              "t9"."event" = 'session'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            ),
            1,
            0
          )
        ) AS "events_2_1",
        COUNT(DISTINCT "t9"."value") FILTER(WHERE
          (
            "t9"."event" = 'purchase'
          )
          AND (
            (
              "t9"."at_ms" - "t9"."first_ms"
            ) >= 0
          )
          AND (
            NOT "t9"."value" IS NULL
          )) AS "value_3_0",
        SUM(
          IF(
            (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            ),
            1,
            0
          )
        ) AS "events_3_0"
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t3"."event",
            "t3"."feature_name",
            "t3"."identifier",
            "t3"."at_ms",
            "t3"."value",
            "t3"."event_id",
            "t3"."numeric_value",
            "t7"."first_ms",
            "t7"."variant",
            "t7"."quarantined"
          FROM (
            SELECT DISTINCT
              "t0"."event",
              "t0"."feature_name",
              "t0"."identifier",
              "t0"."at_ms",
              "t0"."value",
              "t0"."event_id",
              "t0"."numeric_value"
            FROM (
              /* The rows of the table of events as the expressions read them. */
              SELECT
                environment_key,
                event,
                feature_name,
                identifier,
                value,
                CASE
                  WHEN REGEXP_LIKE(value, '\A[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z')
                  AND IS_FINITE(TRY_CAST(value AS DOUBLE))
                  THEN TRY_CAST(value AS DOUBLE)
                END AS numeric_value, /* E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none */
                timestamp,
                CAST(TO_UNIXTIME(timestamp) * 1000 AS BIGINT) AS at_ms,
                COALESCE(event_id, '') AS event_id,
                CAST(TO_UNIXTIME(loaded_at) * 1000000 AS BIGINT) AS loaded_us,
                LENGTH(identifier) BETWEEN 1 AND 2000
                AND LENGTH(COALESCE(value, '')) <= 65535
                AND LENGTH(COALESCE(feature_name, '')) <= 2000 AS lengths_hold,
                traits,
                metadata,
                LOWER(
                  TO_HEX(
                    REVERSE(
                      MD5(
                        TO_UTF8(
                          CONCAT(
                            CAST(LENGTH(TO_UTF8(environment_key)) AS VARCHAR),
                            ':',
                            environment_key,
                            CAST(LENGTH(TO_UTF8(event)) AS VARCHAR),
                            ':',
                            event,
                            CASE
                              WHEN feature_name IS NULL
                              THEN '-'
                              ELSE CONCAT(CAST(LENGTH(TO_UTF8(feature_name)) AS VARCHAR), ':', feature_name)
                            END,
                            CAST(LENGTH(TO_UTF8(identifier)) AS VARCHAR),
                            ':',
                            identifier,
                            CAST(CAST(TO_UNIXTIME(timestamp) * 1000 AS BIGINT) AS VARCHAR),
                            ':',
                            CASE
                              WHEN value IS NULL
                              THEN '-'
                              ELSE CONCAT(CAST(LENGTH(TO_UTF8(value)) AS VARCHAR), ':', value)
                            END,
                            COALESCE(event_id, '')
                          )
                        )
                      )
                    )
                  )
                ) AS event_hash /* E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on */
              FROM events
            ) AS t0
            WHERE
              "t0"."environment_key" = 'prod'
              AND "t0"."event" IN ('purchase', 'session')
              AND "t0"."timestamp" >= CAST(FROM_ISO8601_TIMESTAMP('2026-03-01T22:30:00+00:00') AS TIMESTAMP WITH TIME ZONE)
              AND "t0"."timestamp" < CAST(FROM_ISO8601_TIMESTAMP('2026-03-04T22:30:00+00:00') AS TIMESTAMP WITH TIME ZONE)
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
          ) AS "t3"
          INNER JOIN (
            SELECT
              *
            FROM (
              SELECT
                "t4"."identifier",
                MIN("t4"."at_ms") AS "first_ms",
                MIN("t4"."value") FILTER(WHERE
                  "t4"."at_ms" = "t4"."earliest_ms") AS "variant",
                MIN("t4"."value") <> MAX("t4"."value") AS "quarantined"
              FROM (
                SELECT
                  "t2"."environment_key",
                  "t2"."event",
                  "t2"."feature_name",
                  "t2"."identifier",
                  "t2"."value",
                  "t2"."numeric_value",
                  "t2"."timestamp",
                  "t2"."at_ms",
                  "t2"."event_id",
                  "t2"."loaded_us",
                  "t2"."lengths_hold",
                  "t2"."traits",
                  "t2"."metadata",
                  "t2"."event_hash",
                  MIN("t2"."at_ms") OVER (
                    PARTITION BY "t2"."identifier"
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ) AS "earliest_ms"
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
                        WHEN REGEXP_LIKE(value, '\A[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z')
                        AND IS_FINITE(TRY_CAST(value AS DOUBLE))
                        THEN TRY_CAST(value AS DOUBLE)
                      END AS numeric_value, /* E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none */
                      timestamp,
                      CAST(TO_UNIXTIME(timestamp) * 1000 AS BIGINT) AS at_ms,
                      COALESCE(event_id, '') AS event_id,
                      CAST(TO_UNIXTIME(loaded_at) * 1000000 AS BIGINT) AS loaded_us,
                      LENGTH(identifier) BETWEEN 1 AND 2000
                      AND LENGTH(COALESCE(value, '')) <= 65535
                      AND LENGTH(COALESCE(feature_name, '')) <= 2000 AS lengths_hold,
                      traits,
                      metadata,
                      LOWER(
                        TO_HEX(
                          REVERSE(
                            MD5(
                              TO_UTF8(
                                CONCAT(
                                  CAST(LENGTH(TO_UTF8(environment_key)) AS VARCHAR),
                                  ':',
                                  environment_key,
                                  CAST(LENGTH(TO_UTF8(event)) AS VARCHAR),
                                  ':',
                                  event,
                                  CASE
                                    WHEN feature_name IS NULL
                                    THEN '-'
                                    ELSE CONCAT(CAST(LENGTH(TO_UTF8(feature_name)) AS VARCHAR), ':', feature_name)
                                  END,
                                  CAST(LENGTH(TO_UTF8(identifier)) AS VARCHAR),
                                  ':',
                                  identifier,
                                  CAST(CAST(TO_UNIXTIME(timestamp) * 1000 AS BIGINT) AS VARCHAR),
                                  ':',
                                  CASE
                                    WHEN value IS NULL
                                    THEN '-'
                                    ELSE CONCAT(CAST(LENGTH(TO_UTF8(value)) AS VARCHAR), ':', value)
                                  END,
                                  COALESCE(event_id, '')
                                )
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
                    AND "t0"."timestamp" >= CAST(FROM_ISO8601_TIMESTAMP('2026-03-01T22:30:00+00:00') AS TIMESTAMP WITH TIME ZONE)
                    AND "t0"."timestamp" < CAST(FROM_ISO8601_TIMESTAMP('2026-03-04T22:30:00+00:00') AS TIMESTAMP WITH TIME ZONE)
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
                ) AS "t2"
              ) AS "t4"
              GROUP BY
                1
            ) AS "t5"
            WHERE
              NOT (
                "t5"."quarantined"
              ) AND "t5"."variant" IN ('control', 'red')
          ) AS "t7"
            ON "t3"."identifier" = "t7"."identifier"
        ) AS "t8"
        WHERE
          "t8"."at_ms" >= (
            "t8"."first_ms" - 0
          )
      ) AS "t9"
      GROUP BY
        1,
        2,
        3,
        4
    ) AS "t10"
  ) AS "t11"
) AS "t12"
GROUP BY
  1;
