-- One row a flight that pushed back, with what was known at that minute.
-- Push-backs and arrivals share one time line, and every window on it ends at the current row, so it sees only what lies
-- behind. Facts that a kind of moment does not bring are NULL: aggregates pass over them.
WITH push_backs AS (
    SELECT
        *,
        to_date(pushed_back_at) AS day
    FROM clean_flights
    WHERE pushed_back_at IS NOT NULL
),

arrivals AS (
    SELECT
        *,
        to_date(arrived_at) AS day,
        arrival_delay_minutes - departure_delay_minutes AS gain_minutes,
        timestampdiff(MINUTE, pushed_back_at, arrived_at) - air_time_minutes AS ground_minutes
    FROM clean_flights
    -- the longest look back: 28 days before the day (UTC) of an arrival of the last 24 hours
    WHERE arrived_at >= to_timestamp(concat(session.this_partition, '-01')) - INTERVAL 30 DAYS
),

-- a route's arrivals day by day: its usual changes slowly, and days are a hundred times fewer than minutes
route_days AS (
    SELECT
        origin,
        destination,
        day,
        sum(scheduled_minutes) AS scheduled_sum,
        count(scheduled_minutes) AS scheduled_count,
        sum(air_time_minutes) AS air_time_sum,
        count(air_time_minutes) AS air_time_count,
        sum(ground_minutes) AS ground_sum,
        count(ground_minutes) AS ground_count,
        sum(gain_minutes) AS gain_sum,
        count(gain_minutes) AS gain_count
    FROM (
        SELECT origin, destination, day, scheduled_minutes, air_time_minutes, ground_minutes, gain_minutes
        FROM arrivals
        UNION ALL
        -- a day of push-backs needs its usual too
        SELECT DISTINCT origin, destination, day, NULL, NULL, NULL, NULL
        FROM push_backs
    )
    GROUP BY origin, destination, day
),

usual AS (
    SELECT
        origin,
        destination,
        day,
        sum(scheduled_sum) OVER days_before / nullif(sum(scheduled_count) OVER days_before, 0) AS scheduled_minutes,
        sum(air_time_sum) OVER days_before / nullif(sum(air_time_count) OVER days_before, 0) AS air_time_minutes,
        sum(ground_sum) OVER days_before / nullif(sum(ground_count) OVER days_before, 0) AS ground_minutes,
        sum(gain_sum) OVER days_before / nullif(sum(gain_count) OVER days_before, 0) AS gain_minutes
    FROM route_days
    WINDOW
        days_before AS (
            PARTITION BY origin, destination
            ORDER BY day RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING
        )
),

moments AS (
    SELECT
        pushed_back_at AS moment,
        flight_id,
        origin,
        destination,
        carrier,
        flight_number,
        departure_delay_minutes,
        CAST(NULL AS INT) AS gain_minutes,
        CAST(NULL AS DOUBLE) AS air_time_against_usual,
        CAST(NULL AS DOUBLE) AS ground_against_usual
    FROM push_backs
    -- the longest look back at push-backs is 1 h
    WHERE pushed_back_at >= to_timestamp(concat(session.this_partition, '-01')) - INTERVAL 1 DAY
    UNION ALL
    SELECT
        arrivals.arrived_at,
        NULL,
        arrivals.origin,
        arrivals.destination,
        arrivals.carrier,
        arrivals.flight_number,
        NULL,
        arrivals.gain_minutes,
        arrivals.air_time_minutes - usual.air_time_minutes,
        arrivals.ground_minutes - usual.ground_minutes
    FROM arrivals
    LEFT JOIN usual USING (origin, destination, day)
),

at_the_destination AS (
    SELECT
        *,
        avg(gain_minutes) OVER last_3h AS destination_gain_3h_minutes,
        avg(gain_minutes) OVER last_6h AS destination_gain_6h_minutes,
        avg(gain_minutes) OVER last_24h AS destination_gain_24h_minutes,
        avg(air_time_against_usual) OVER last_12h AS destination_air_time_12h_minutes
    FROM moments
    WINDOW
        last_3h AS (PARTITION BY destination ORDER BY moment RANGE BETWEEN INTERVAL 3 HOURS PRECEDING AND CURRENT ROW),
        last_6h AS (PARTITION BY destination ORDER BY moment RANGE BETWEEN INTERVAL 6 HOURS PRECEDING AND CURRENT ROW),
        last_12h AS (PARTITION BY destination ORDER BY moment RANGE BETWEEN INTERVAL 12 HOURS PRECEDING AND CURRENT ROW),
        last_24h AS (PARTITION BY destination ORDER BY moment RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW)
),

of_the_flight_number AS (
    SELECT
        *,
        avg(gain_minutes) OVER last_28d AS flight_gain_28d_minutes
    FROM at_the_destination
    WINDOW
        last_28d AS (PARTITION BY carrier, flight_number ORDER BY moment RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND CURRENT ROW)
),

at_the_origin AS (
    SELECT
        *,
        avg(ground_against_usual) OVER last_1h AS origin_ground_1h_minutes,
        avg(departure_delay_minutes) OVER last_1h AS origin_departure_delay_1h_minutes
    FROM of_the_flight_number
    WINDOW last_1h AS (PARTITION BY origin ORDER BY moment RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW)
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
    flights.flight_id,
    flights.event_month,
    flights.pushed_back_at,
    flights.carrier,
    flights.origin,
    flights.destination,
    planes.manufacturer,
    CAST(flights.departure_delay_minutes AS DOUBLE) AS departure_delay_minutes,
    flights.scheduled_departure_hour,
    CAST(flights.day_of_week AS DOUBLE) AS day_of_week,
    CAST(flights.distance_miles AS DOUBLE) AS distance_miles,
    CAST(flights.scheduled_minutes AS DOUBLE) AS scheduled_minutes,
    -- rounded, because the order of a floating point sum may differ from run to run in the last digit
    round(flights.scheduled_minutes - usual.scheduled_minutes, 3) AS schedule_padding_minutes,
    round(usual.gain_minutes, 3) AS route_gain_28d_minutes,
    round(known.destination_gain_3h_minutes, 3) AS destination_gain_3h_minutes,
    round(known.destination_gain_6h_minutes, 3) AS destination_gain_6h_minutes,
    round(known.destination_gain_24h_minutes, 3) AS destination_gain_24h_minutes,
    round(known.destination_air_time_12h_minutes, 3) AS destination_air_time_12h_minutes,
    round(known.flight_gain_28d_minutes, 3) AS flight_gain_28d_minutes,
    round(known.origin_ground_1h_minutes, 3) AS origin_ground_1h_minutes,
    round(known.origin_departure_delay_1h_minutes, 3) AS origin_departure_delay_1h_minutes,
    weather.wind_speed_mph,
    weather.wind_from_degrees,
    weather.pressure_hpa,
    weather.visibility_miles,
    weather.temperature_f
FROM push_backs AS flights
INNER JOIN at_the_origin AS known ON flights.flight_id = known.flight_id
LEFT JOIN usual ON flights.origin = usual.origin AND flights.destination = usual.destination AND flights.day = usual.day
LEFT JOIN weather ON flights.origin = weather.origin AND date_trunc('HOUR', flights.pushed_back_at) = weather.hour
LEFT JOIN raw_planes AS planes ON flights.tail_number = planes.tailnum
WHERE flights.event_month = session.this_partition
