-- One row a flight that pushed back, with what was known at that minute.
-- Three kinds of moments (a push-back, an arrival, a weather report) share one time line, and every window ends at the
-- current row, so it sees only what lies behind. Facts that a kind does not bring are NULL: aggregates pass over them.
WITH moments AS (
    SELECT
        'push_back' AS kind,
        pushed_back_at AS moment,
        flight_id,
        origin,
        destination,
        carrier,
        flight_number,
        departure_delay_minutes,
        CAST(NULL AS INT) AS scheduled_minutes,
        CAST(NULL AS INT) AS gain_minutes,
        CAST(NULL AS INT) AS air_time_minutes,
        CAST(NULL AS INT) AS ground_minutes,
        CAST(NULL AS DOUBLE) AS wind_speed_mph,
        CAST(NULL AS DOUBLE) AS wind_from_degrees,
        CAST(NULL AS DOUBLE) AS pressure_hpa,
        CAST(NULL AS DOUBLE) AS visibility_miles,
        CAST(NULL AS DOUBLE) AS temperature_f
    FROM clean_flights
    -- the longest look back at push-backs is 1 h
    WHERE pushed_back_at >= to_timestamp(concat(session.this_partition, '-01')) - INTERVAL 1 DAY
    UNION ALL
    SELECT
        'arrival',
        arrived_at,
        NULL,
        origin,
        destination,
        carrier,
        flight_number,
        NULL,
        scheduled_minutes,
        arrival_delay_minutes - departure_delay_minutes,
        air_time_minutes,
        timestampdiff(MINUTE, pushed_back_at, arrived_at) - air_time_minutes,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL
    FROM clean_flights
    -- the longest look back at arrivals is 28 d, from arrivals of the last 12 h
    WHERE arrived_at >= to_timestamp(concat(session.this_partition, '-01')) - INTERVAL 29 DAYS
    UNION ALL
    SELECT
        'report',
        known_at,
        NULL,
        origin,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        wind_speed_mph,
        wind_from_degrees,
        pressure_hpa,
        visibility_miles,
        temperature_f
    FROM clean_weather
),

along_the_route AS (
    SELECT
        *,
        avg(scheduled_minutes) OVER last_28d AS usual_scheduled_minutes,
        avg(air_time_minutes) OVER last_28d AS usual_air_time_minutes,
        avg(ground_minutes) OVER last_28d AS usual_ground_minutes,
        avg(gain_minutes) OVER last_28d AS route_gain_28d_minutes
    FROM moments
    WINDOW
        last_28d AS (PARTITION BY origin, destination ORDER BY moment RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND CURRENT ROW)
),

at_the_destination AS (
    SELECT
        *,
        avg(gain_minutes) OVER last_3h AS destination_gain_3h_minutes,
        avg(gain_minutes) OVER last_6h AS destination_gain_6h_minutes,
        avg(gain_minutes) OVER last_24h AS destination_gain_24h_minutes,
        avg(air_time_minutes - usual_air_time_minutes) OVER last_12h AS destination_air_time_12h_minutes
    FROM along_the_route
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
        avg(ground_minutes - usual_ground_minutes) OVER last_1h AS origin_ground_1h_minutes,
        avg(departure_delay_minutes) OVER last_1h AS origin_departure_delay_1h_minutes,
        last_value(wind_speed_mph, TRUE) OVER last_6h AS known_wind_speed_mph,
        last_value(wind_from_degrees, TRUE) OVER last_6h AS known_wind_from_degrees,
        last_value(pressure_hpa, TRUE) OVER last_6h AS known_pressure_hpa,
        last_value(visibility_miles, TRUE) OVER last_6h AS known_visibility_miles,
        last_value(temperature_f, TRUE) OVER last_6h AS known_temperature_f
    FROM of_the_flight_number
    WINDOW
        last_1h AS (PARTITION BY origin ORDER BY moment RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW),
        -- a report that is missing is bridged by the one before it, for 6 h
        last_6h AS (PARTITION BY origin ORDER BY moment RANGE BETWEEN INTERVAL 6 HOURS PRECEDING AND CURRENT ROW)
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
    CAST(flights.scheduled_departure_hour AS DOUBLE) AS scheduled_departure_hour,
    CAST(flights.day_of_week AS DOUBLE) AS day_of_week,
    CAST(flights.distance_miles AS DOUBLE) AS distance_miles,
    CAST(flights.scheduled_minutes AS DOUBLE) AS scheduled_minutes,
    round(flights.scheduled_minutes - known.usual_scheduled_minutes, 3) AS schedule_padding_minutes,
    round(known.route_gain_28d_minutes, 3) AS route_gain_28d_minutes,
    round(known.destination_gain_3h_minutes, 3) AS destination_gain_3h_minutes,
    round(known.destination_gain_6h_minutes, 3) AS destination_gain_6h_minutes,
    round(known.destination_gain_24h_minutes, 3) AS destination_gain_24h_minutes,
    round(known.destination_air_time_12h_minutes, 3) AS destination_air_time_12h_minutes,
    round(known.flight_gain_28d_minutes, 3) AS flight_gain_28d_minutes,
    round(known.origin_ground_1h_minutes, 3) AS origin_ground_1h_minutes,
    round(known.origin_departure_delay_1h_minutes, 3) AS origin_departure_delay_1h_minutes,
    known.known_wind_speed_mph AS wind_speed_mph,
    known.known_wind_from_degrees AS wind_from_degrees,
    known.known_pressure_hpa AS pressure_hpa,
    known.known_visibility_miles AS visibility_miles,
    known.known_temperature_f AS temperature_f
FROM at_the_origin AS known
INNER JOIN clean_flights AS flights ON known.flight_id = flights.flight_id
LEFT JOIN raw_planes AS planes ON flights.tail_number = planes.tailnum
WHERE flights.event_month = session.this_partition
