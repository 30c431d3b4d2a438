-- One row a flight that pushed back, with what was known at that minute.
-- Push-backs and arrivals become moments on one time line, and every window on it ends at the current row, so it sees only
-- what lies behind. What a flight's arrival tells is there at the moment of the arrival only (NULL at its push-back), and
-- aggregates pass over NULL.
WITH flights AS (
    SELECT
        clean_flights.*,
        -- from New York, twelve of 30°; the airports that the register lacks, all in the Caribbean, are one more (NULL)
        floor(degrees(atan2(airports.lat - 40.7, (airports.lon + 73.9) * cos(radians(40.7)))) / 30) AS direction,
        CASE WHEN distance_miles <= 600 THEN 600 WHEN distance_miles <= 1200 THEN 1200 WHEN distance_miles <= 2000 THEN 2000 END AS band,
        to_timestamp(concat(session.this_partition, '-01')) AS month_start,
        arrival_delay_minutes - departure_delay_minutes AS gain_minutes,
        timestampdiff(MINUTE, pushed_back_at, arrived_at) - air_time_minutes AS ground_minutes
    FROM clean_flights
    LEFT JOIN raw_airports AS airports ON clean_flights.destination = airports.faa
    WHERE pushed_back_at IS NOT NULL
),

moments AS (
    SELECT
        flights.*,
        kind,
        moment,
        -- whole minutes since 1970: as numbers, the bounds of the windows below (3 h is 180) cost no calendar arithmetic for every row
        unix_timestamp(moment) DIV 60 AS minute,
        to_date(moment) AS day,
        CASE WHEN kind = 'arrival' THEN scheduled_minutes END AS arrived_scheduled_minutes,
        CASE WHEN kind = 'arrival' THEN air_time_minutes END AS arrived_air_time_minutes,
        CASE WHEN kind = 'arrival' THEN ground_minutes END AS arrived_ground_minutes,
        CASE WHEN kind = 'arrival' THEN gain_minutes END AS arrived_gain_minutes,
        CASE WHEN kind = 'push_back' THEN departure_delay_minutes END AS left_delay_minutes
    FROM flights
        LATERAL VIEW explode(map('push_back', pushed_back_at, 'arrival', arrived_at)) AS kind, moment
    -- the longest look back: 28 days before the day (UTC) of an arrival in the 24 h before the month
    WHERE moment >= month_start - INTERVAL 30 DAYS
),

-- a route's arrivals day by day: its usual changes slowly, and days are a hundred times fewer than minutes
route_days AS (
    SELECT
        origin,
        destination,
        day,
        sum(arrived_scheduled_minutes) AS scheduled_sum,
        count(arrived_scheduled_minutes) AS scheduled_count,
        sum(arrived_air_time_minutes) AS air_time_sum,
        count(arrived_air_time_minutes) AS air_time_count,
        sum(arrived_ground_minutes) AS ground_sum,
        count(arrived_ground_minutes) AS ground_count,
        sum(arrived_gain_minutes) AS gain_sum,
        count(arrived_gain_minutes) AS gain_count
    FROM moments
    GROUP BY origin, destination, day
),

usual AS (
    SELECT
        origin,
        destination,
        day,
        sum(scheduled_sum) OVER days_before / nullif(sum(scheduled_count) OVER days_before, 0) AS usual_scheduled_minutes,
        sum(air_time_sum) OVER days_before / nullif(sum(air_time_count) OVER days_before, 0) AS usual_air_time_minutes,
        sum(ground_sum) OVER days_before / nullif(sum(ground_count) OVER days_before, 0) AS usual_ground_minutes,
        sum(gain_sum) OVER days_before / nullif(sum(gain_count) OVER days_before, 0) AS usual_gain_minutes
    FROM route_days
    WINDOW
        days_before AS (
            PARTITION BY origin, destination
            ORDER BY day RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING
        )
),

-- A mean over the last hours is the difference of two running sums: up to now, less up to where its window begins. Spark carries a
-- running sum along, but adds up a sliding frame anew for every row: a hundred times the flights would take ten thousand times as long.
-- What is summed are whole numbers, so that the difference is exact, whatever the order of the rows.
of_the_flight_number AS (
    SELECT
        *,
        -- in thousandths of a minute
        round(1000 * (arrived_air_time_minutes - usual_air_time_minutes)) AS arrived_air_time_excess,
        round(1000 * (arrived_ground_minutes - usual_ground_minutes)) AS arrived_ground_excess,
        CASE WHEN arrived_air_time_minutes - usual_air_time_minutes IS NOT NULL THEN distance_miles END AS arrived_miles,
        distance_miles > 1200 AS is_long_haul,
        (sum(arrived_gain_minutes) OVER so_far - coalesce(sum(arrived_gain_minutes) OVER before_28d, 0))
        / nullif(count(arrived_gain_minutes) OVER so_far - count(arrived_gain_minutes) OVER before_28d, 0) AS flight_gain_28d_minutes
    FROM moments
    INNER JOIN usual USING (origin, destination, day)
    -- push-backs of the month before count for its last hour only
    WHERE kind = 'arrival' OR moment >= month_start - INTERVAL 1 DAY
    WINDOW
        so_far AS (PARTITION BY carrier, flight_number ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        before_28d AS (PARTITION BY carrier, flight_number ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 40321 PRECEDING)
),

at_the_destination AS (
    SELECT
        *,
        (sum(arrived_gain_minutes) OVER so_far - coalesce(sum(arrived_gain_minutes) OVER before_3h, 0))
        / nullif(count(arrived_gain_minutes) OVER so_far - count(arrived_gain_minutes) OVER before_3h, 0) AS destination_gain_3h_minutes,
        (sum(arrived_gain_minutes) OVER so_far - coalesce(sum(arrived_gain_minutes) OVER before_6h, 0))
        / nullif(count(arrived_gain_minutes) OVER so_far - count(arrived_gain_minutes) OVER before_6h, 0) AS destination_gain_6h_minutes,
        (sum(arrived_gain_minutes) OVER so_far - coalesce(sum(arrived_gain_minutes) OVER before_24h, 0))
        / nullif(count(arrived_gain_minutes) OVER so_far - count(arrived_gain_minutes) OVER before_24h, 0) AS destination_gain_24h_minutes,
        (sum(arrived_air_time_excess) OVER so_far - coalesce(sum(arrived_air_time_excess) OVER before_4h, 0))
        / nullif(1000 * (count(arrived_air_time_excess) OVER so_far - count(arrived_air_time_excess) OVER before_4h), 0)
            AS destination_air_time_4h_minutes,
        (sum(arrived_air_time_excess) OVER so_far - coalesce(sum(arrived_air_time_excess) OVER before_12h, 0))
        / nullif(1000 * (count(arrived_air_time_excess) OVER so_far - count(arrived_air_time_excess) OVER before_12h), 0)
            AS destination_air_time_12h_minutes
    FROM of_the_flight_number
    -- from here on the longest look back is 24 h
    WHERE moment >= month_start - INTERVAL 1 DAY
    WINDOW
        so_far AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        before_3h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 181 PRECEDING),
        before_4h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 241 PRECEDING),
        before_6h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 361 PRECEDING),
        before_12h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 721 PRECEDING),
        before_24h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 1441 PRECEDING)
),

at_the_origin AS (
    SELECT
        *,
        (sum(arrived_ground_excess) OVER so_far - coalesce(sum(arrived_ground_excess) OVER before_1h, 0))
        / nullif(1000 * (count(arrived_ground_excess) OVER so_far - count(arrived_ground_excess) OVER before_1h), 0)
            AS origin_ground_1h_minutes,
        (sum(left_delay_minutes) OVER so_far - coalesce(sum(left_delay_minutes) OVER before_1h, 0))
        / nullif(count(left_delay_minutes) OVER so_far - count(left_delay_minutes) OVER before_1h, 0) AS origin_departure_delay_1h_minutes,
        count(left_delay_minutes) OVER so_far - count(left_delay_minutes) OVER before_30m AS origin_departures_30m
    FROM at_the_destination
    WINDOW
        so_far AS (PARTITION BY origin ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        before_30m AS (PARTITION BY origin ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 31 PRECEDING),
        before_1h AS (PARTITION BY origin ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 61 PRECEDING)
),

-- headwinds show in the air times of all flights of the like length, wherever they went
in_the_air AS (
    SELECT
        *,
        (sum(arrived_air_time_excess) OVER so_far - coalesce(sum(arrived_air_time_excess) OVER before_6h, 0))
        / nullif(sum(arrived_miles) OVER so_far - coalesce(sum(arrived_miles) OVER before_6h, 0), 0) AS air_time_per_1000_miles_6h_minutes
    FROM at_the_origin
    WINDOW
        so_far AS (PARTITION BY is_long_haul ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        before_6h AS (PARTITION BY is_long_haul ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 361 PRECEDING)
),

-- winds aloft depend on where one flies, too
in_the_direction AS (
    SELECT
        *,
        (sum(arrived_air_time_excess) OVER so_far - coalesce(sum(arrived_air_time_excess) OVER before_4h, 0))
        / nullif(1000 * (count(arrived_air_time_excess) OVER so_far - count(arrived_air_time_excess) OVER before_4h), 0)
            AS direction_air_time_4h_minutes
    FROM in_the_air
    WINDOW
        so_far AS (PARTITION BY direction, band ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        before_4h AS (PARTITION BY direction, band ORDER BY minute RANGE BETWEEN UNBOUNDED PRECEDING AND 241 PRECEDING)
),

-- what is known of the weather in an hour: of each value the newest report, bridging up to six that are missing
weather AS (
    SELECT
        origin,
        hour,
        max_by(wind_speed_mph, known_at) FILTER (WHERE wind_speed_mph IS NOT NULL) AS wind_speed_mph,
        max_by(wind_from_degrees, known_at) FILTER (WHERE wind_from_degrees IS NOT NULL) AS wind_from_degrees,
        max_by(pressure_hpa, known_at) FILTER (WHERE pressure_hpa IS NOT NULL) AS pressure_hpa,
        max_by(visibility_miles, known_at) FILTER (WHERE visibility_miles IS NOT NULL) AS visibility_miles,
        max_by(temperature_f, known_at) FILTER (WHERE temperature_f IS NOT NULL) AS temperature_f
    FROM clean_weather
        LATERAL VIEW explode(sequence(known_at, known_at + INTERVAL 6 HOURS, INTERVAL 1 HOUR)) AS hour
    GROUP BY origin, hour
)

SELECT
    known.flight_id,
    known.event_month,
    known.pushed_back_at,
    known.carrier,
    known.origin,
    known.destination,
    planes.manufacturer,
    CAST(known.departure_delay_minutes AS DOUBLE) AS departure_delay_minutes,
    known.scheduled_departure_hour,
    CAST(known.day_of_week AS DOUBLE) AS day_of_week,
    CAST(known.distance_miles AS DOUBLE) AS distance_miles,
    CAST(known.scheduled_minutes AS DOUBLE) AS scheduled_minutes,
    round(known.scheduled_minutes - known.usual_scheduled_minutes, 3) AS schedule_padding_minutes,
    round(known.usual_gain_minutes, 3) AS route_gain_28d_minutes,
    round(known.usual_ground_minutes, 3) AS route_ground_28d_minutes,
    round(known.destination_gain_3h_minutes, 3) AS destination_gain_3h_minutes,
    round(known.destination_gain_6h_minutes, 3) AS destination_gain_6h_minutes,
    round(known.destination_gain_24h_minutes, 3) AS destination_gain_24h_minutes,
    round(known.destination_air_time_4h_minutes, 3) AS destination_air_time_4h_minutes,
    round(known.destination_air_time_12h_minutes, 3) AS destination_air_time_12h_minutes,
    round(known.air_time_per_1000_miles_6h_minutes, 3) AS air_time_per_1000_miles_6h_minutes,
    round(known.direction_air_time_4h_minutes, 3) AS direction_air_time_4h_minutes,
    round(known.flight_gain_28d_minutes, 3) AS flight_gain_28d_minutes,
    round(known.origin_ground_1h_minutes, 3) AS origin_ground_1h_minutes,
    round(known.origin_departure_delay_1h_minutes, 3) AS origin_departure_delay_1h_minutes,
    CAST(known.origin_departures_30m AS DOUBLE) AS origin_departures_30m,
    weather.wind_speed_mph,
    weather.wind_from_degrees,
    weather.pressure_hpa,
    weather.visibility_miles,
    weather.temperature_f
FROM in_the_direction AS known
LEFT JOIN weather ON known.origin = weather.origin AND date_trunc('HOUR', known.pushed_back_at) = weather.hour
LEFT JOIN raw_planes AS planes ON known.tail_number = planes.tailnum
WHERE known.kind = 'push_back' AND known.event_month = session.this_partition
