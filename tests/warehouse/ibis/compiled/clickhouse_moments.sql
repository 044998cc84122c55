SELECT
  "t12"."variant" AS "variant",
  COUNT(*) AS "identities",
  MAX("t12"."mean_y_1") AS "center_y_1",
  SUM("t12"."y_1" - "t12"."mean_y_1") AS "dy_1",
  SUM((
    "t12"."y_1" - "t12"."mean_y_1"
  ) * (
    "t12"."y_1" - "t12"."mean_y_1"
  )) AS "dyy_1",
  SUM(CAST("t12"."y_1" <> 0 AS Nullable(Int32))) AS "nonzero_y_1",
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
  SUM(CAST("t12"."y_2" <> 0 AS Nullable(Int32))) AS "nonzero_y_2",
  MAX("t12"."mean_x_2") AS "center_x_2",
  SUM("t12"."x_2" - "t12"."mean_x_2") AS "dx_2",
  SUM((
    "t12"."x_2" - "t12"."mean_x_2"
  ) * (
    "t12"."x_2" - "t12"."mean_x_2"
  )) AS "dxx_2",
  SUM(CAST("t12"."x_2" <> 0 AS Nullable(Int32))) AS "nonzero_x_2",
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
  SUM(CAST("t12"."y_3" <> 0 AS Nullable(Int32))) AS "nonzero_y_3",
  MAX("t12"."y_3") AS "largest_3",
  COUNT("t12"."y_3") AS "measured_3",
  SUM("t12"."analysed_3") AS "analysed_3",
  SUM("t12"."with_value_3") AS "with_value_3",
  SUM("t12"."with_event_3") AS "with_event_3",
  SUM("t12"."values_3") AS "values_3",
  SUM("t12"."invalid_values_3") AS "invalid_values_3"
FROM (
  SELECT
    "t11"."first_ms" AS "first_ms",
    "t11"."variant" AS "variant",
    "t11"."quarantined" AS "quarantined",
    "t11"."analysed_1" AS "analysed_1",
    "t11"."with_value_1" AS "with_value_1",
    "t11"."with_event_1" AS "with_event_1",
    "t11"."values_1" AS "values_1",
    "t11"."invalid_values_1" AS "invalid_values_1",
    "t11"."y_1" AS "y_1",
    "t11"."analysed_2" AS "analysed_2",
    "t11"."with_value_2" AS "with_value_2",
    "t11"."with_event_2" AS "with_event_2",
    "t11"."values_2" AS "values_2",
    "t11"."invalid_values_2" AS "invalid_values_2",
    "t11"."y_2" AS "y_2",
    "t11"."x_2" AS "x_2",
    "t11"."analysed_3" AS "analysed_3",
    "t11"."with_value_3" AS "with_value_3",
    "t11"."with_event_3" AS "with_event_3",
    "t11"."values_3" AS "values_3",
    "t11"."invalid_values_3" AS "invalid_values_3",
    "t11"."y_3" AS "y_3",
    "t11"."cap_1" AS "cap_1",
    "t11"."capped_1" AS "capped_1",
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
      "t10"."first_ms" AS "first_ms",
      "t10"."variant" AS "variant",
      "t10"."quarantined" AS "quarantined",
      CASE WHEN (
        "t10"."first_ms" + 86400000
      ) <= 1772663400000 THEN 1 ELSE 0 END AS "analysed_1",
      CASE WHEN (
        "t10"."first_ms" + 86400000
      ) <= 1772663400000 THEN 1 ELSE 0 END AS "with_value_1",
      CASE
        WHEN (
          (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000
        )
        AND (
          (
            0 + "t10"."events_1_0"
          ) > 0
        )
        THEN 1
        ELSE 0
      END AS "with_event_1",
      CASE
        WHEN (
          "t10"."first_ms" + 86400000
        ) <= 1772663400000
        THEN 0 + "t10"."events_1_0"
        ELSE 0
      END AS "values_1",
      CASE
        WHEN (
          "t10"."first_ms" + 86400000
        ) <= 1772663400000
        THEN (
          0 + "t10"."events_1_0"
        ) - (
          0 + "t10"."numbers_1_0"
        )
        ELSE 0
      END AS "invalid_values_1",
      CASE
        WHEN CASE
          WHEN (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000
          THEN COALESCE("t10"."value_1_0", 0.0)
          ELSE CAST(NULL AS Nullable(Float64))
        END > 100.0
        THEN 100.0
        ELSE CASE
          WHEN (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000
          THEN COALESCE("t10"."value_1_0", 0.0)
          ELSE CAST(NULL AS Nullable(Float64))
        END
      END AS "y_1",
      CASE WHEN TRUE THEN 1 ELSE 0 END AS "analysed_2",
      CASE WHEN TRUE AND (
        "t10"."numbers_2_0" > 0
      ) THEN 1 ELSE 0 END AS "with_value_2",
      CASE
        WHEN TRUE AND (
          (
            0 + "t10"."events_2_0" + "t10"."events_2_1"
          ) > 0
        )
        THEN 1
        ELSE 0
      END AS "with_event_2",
      CASE WHEN TRUE THEN 0 + "t10"."events_2_0" ELSE 0 END AS "values_2",
      CASE
        WHEN TRUE
        THEN (
          0 + "t10"."events_2_0"
        ) - (
          0 + "t10"."numbers_2_0"
        )
        ELSE 0
      END AS "invalid_values_2",
      CASE
        WHEN TRUE AND (
          "t10"."numbers_2_0" > 0
        )
        THEN COALESCE("t10"."value_2_0", 0.0)
        ELSE CAST(NULL AS Nullable(Float64))
      END AS "y_2",
      CASE
        WHEN TRUE AND (
          "t10"."numbers_2_0" > 0
        )
        THEN COALESCE(CAST("t10"."value_2_1" AS Nullable(Float64)), 0.0)
        ELSE CAST(NULL AS Nullable(Float64))
      END AS "x_2",
      CASE WHEN TRUE THEN 1 ELSE 0 END AS "analysed_3",
      CASE WHEN TRUE THEN 1 ELSE 0 END AS "with_value_3",
      CASE WHEN TRUE AND (
        (
          0 + "t10"."events_3_0"
        ) > 0
      ) THEN 1 ELSE 0 END AS "with_event_3",
      CASE WHEN TRUE THEN 0 ELSE 0 END AS "values_3",
      CASE WHEN TRUE THEN 0 - 0 ELSE 0 END AS "invalid_values_3",
      CASE
        WHEN TRUE
        THEN COALESCE(CAST("t10"."value_3_0" AS Nullable(Float64)), 0.0)
        ELSE CAST(NULL AS Nullable(Float64))
      END AS "y_3",
      100.0 AS "cap_1",
      CASE
        WHEN CASE
          WHEN (
            "t10"."first_ms" + 86400000
          ) <= 1772663400000
          THEN COALESCE("t10"."value_1_0", 0.0)
          ELSE CAST(NULL AS Nullable(Float64))
        END > 100.0
        THEN 1
        ELSE 0
      END AS "capped_1"
    FROM (
      SELECT
        "t9"."identifier" AS "identifier",
        "t9"."first_ms" AS "first_ms",
        "t9"."variant" AS "variant",
        "t9"."quarantined" AS "quarantined",
        sumIf(
          "t9"."numeric_value",
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
        ) AS "value_1_0",
        SUM(
          CASE
            WHEN (
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
            THEN 1
            ELSE 0
          END
        ) AS "events_1_0",
        SUM(
          CASE
            WHEN (
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
            AND isNotNull("t9"."numeric_value")
            THEN 1
            ELSE 0
          END
        ) AS "numbers_1_0",
        avgIf(
          "t9"."numeric_value",
          (
            "t9"."event" = 'purchase'
          )
          AND (
            (
              "t9"."at_ms" - "t9"."first_ms"
            ) >= 0
          )
        ) AS "value_2_0",
        SUM(
          CASE
            WHEN (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            THEN 1
            ELSE 0
          END
        ) AS "events_2_0",
        SUM(
          CASE
            WHEN (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            AND isNotNull("t9"."numeric_value")
            THEN 1
            ELSE 0
          END
        ) AS "numbers_2_0",
        SUM(
          CASE
            WHEN (
              "t9"."event" = 'session'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            THEN 1
            ELSE 0
          END
        ) AS "value_2_1",
        SUM(
          CASE
            WHEN (
              "t9"."event" = 'session'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            THEN 1
            ELSE 0
          END
        ) AS "events_2_1",
        uniqExactIf(
          "t9"."value",
          (
            "t9"."event" = 'purchase'
          )
          AND (
            (
              "t9"."at_ms" - "t9"."first_ms"
            ) >= 0
          )
          AND isNotNull("t9"."value")
        ) AS "value_3_0",
        SUM(
          CASE
            WHEN (
              "t9"."event" = 'purchase'
            )
            AND (
              (
                "t9"."at_ms" - "t9"."first_ms"
              ) >= 0
            )
            THEN 1
            ELSE 0
          END
        ) AS "events_3_0"
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t3"."event" AS "event",
            "t3"."feature_name" AS "feature_name",
            "t3"."identifier" AS "identifier",
            "t3"."at_ms" AS "at_ms",
            "t3"."value" AS "value",
            "t3"."event_id" AS "event_id",
            "t3"."numeric_value" AS "numeric_value",
            "t7"."first_ms" AS "first_ms",
            "t7"."variant" AS "variant",
            "t7"."quarantined" AS "quarantined"
          FROM (
            SELECT
              "t0"."event" AS "event",
              "t0"."feature_name" AS "feature_name",
              "t0"."identifier" AS "identifier",
              "t0"."at_ms" AS "at_ms",
              "t0"."value" AS "value",
              "t0"."event_id" AS "event_id",
              "t0"."numeric_value" AS "numeric_value"
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
              AND "t0"."event" IN ('purchase', 'session')
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
            LIMIT 1 BY "event", "feature_name", "identifier", "at_ms", "value", "event_id", "numeric_value"
          ) AS "t3"
          INNER JOIN (
            SELECT
              *
            FROM (
              SELECT
                "t4"."identifier" AS "identifier",
                MIN("t4"."at_ms") AS "first_ms",
                minIf("t4"."value", "t4"."at_ms" = "t4"."earliest_ms") AS "variant",
                MIN("t4"."value") <> MAX("t4"."value") AS "quarantined"
              FROM (
                SELECT
                  "t2"."environment_key" AS "environment_key",
                  "t2"."event" AS "event",
                  "t2"."feature_name" AS "feature_name",
                  "t2"."identifier" AS "identifier",
                  "t2"."value" AS "value",
                  "t2"."numeric_value" AS "numeric_value",
                  "t2"."timestamp" AS "timestamp",
                  "t2"."at_ms" AS "at_ms",
                  "t2"."event_id" AS "event_id",
                  "t2"."loaded_us" AS "loaded_us",
                  "t2"."lengths_hold" AS "lengths_hold",
                  "t2"."traits" AS "traits",
                  "t2"."metadata" AS "metadata",
                  "t2"."event_hash" AS "event_hash",
                  MIN("t2"."at_ms") OVER (
                    PARTITION BY "t2"."identifier"
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
                ) AS "t2"
              ) AS "t4"
              GROUP BY
                "t4"."identifier"
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
        "t9"."identifier",
        "t9"."first_ms",
        "t9"."variant",
        "t9"."quarantined"
    ) AS "t10"
  ) AS "t11"
) AS "t12"
GROUP BY
  "t12"."variant";
