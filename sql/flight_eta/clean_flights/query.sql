-- One row a scheduled departure, with its moments in UTC.
-- time_hour is UTC and definite even in the hour that occurs twice in November; HHMM times are local (2400 is midnight)
-- and serve only to find the scheduled length of the flight, across the destination's time zone.
WITH time_zones AS (
    SELECT
        faa AS airport,
        tzone AS time_zone
    FROM raw_airports
    WHERE tzone IS NOT NULL
    UNION ALL
    -- the airport register lacks these four; tz database names
    SELECT
        missing.airport,
        missing.time_zone
    FROM
        VALUES
        ('SJU', 'America/Puerto_Rico'),
        ('BQN', 'America/Puerto_Rico'),
        ('PSE', 'America/Puerto_Rico'),
        ('STT', 'America/St_Thomas') AS missing (airport, time_zone)
    WHERE missing.airport NOT IN (SELECT faa FROM raw_airports WHERE tzone IS NOT NULL)
),

departures AS (
    SELECT
        flights.*,
        time_zones.time_zone AS destination_time_zone,
        flights.time_hour + make_dt_interval(0, 0, flights.minute) AS scheduled_departure_at
    FROM raw_flights AS flights
    LEFT JOIN time_zones ON flights.dest = time_zones.airport
),

departures_at_destination AS (
    SELECT
        *,
        from_utc_timestamp(scheduled_departure_at, destination_time_zone) AS departure_on_destination_clock,
        (sched_arr_time DIV 100) * 60 + sched_arr_time % 100 AS arrival_minute_of_day
    FROM departures
),

scheduled AS (
    SELECT
        *,
        -- the next time that the destination's clock shows the scheduled arrival: no flight of the schedule takes a day
        to_utc_timestamp(
            departure_on_destination_clock
            + make_dt_interval(
                0,
                0,
                pmod(
                    arrival_minute_of_day
                    - (hour(departure_on_destination_clock) * 60 + minute(departure_on_destination_clock)),
                    1440
                )
            ),
            destination_time_zone
        ) AS scheduled_arrival_at
    FROM departures_at_destination
)

SELECT
    concat_ws('_', format_string('%04d-%02d-%02d', year, month, day), carrier, flight, origin) AS flight_id,
    event_month,
    carrier,
    flight AS flight_number,
    tailnum AS tail_number,
    origin,
    dest AS destination,
    CASE
        WHEN dep_delay IS NULL THEN 'cancelled'
        WHEN arr_delay IS NULL THEN 'diverted'
        ELSE 'arrived'
    END AS status,
    scheduled_departure_at,
    scheduled_departure_at + make_dt_interval(0, 0, dep_delay) AS pushed_back_at,
    scheduled_arrival_at + make_dt_interval(0, 0, CASE WHEN dep_delay IS NOT NULL THEN arr_delay END) AS arrived_at,
    round(hour + minute / 60, 4) AS scheduled_departure_hour,
    weekday(make_date(year, month, day)) + 1 AS day_of_week,
    CAST((unix_timestamp(scheduled_arrival_at) - unix_timestamp(scheduled_departure_at)) DIV 60 AS INT) AS scheduled_minutes,
    dep_delay AS departure_delay_minutes,
    arr_delay AS arrival_delay_minutes,
    air_time AS air_time_minutes,
    distance AS distance_miles
FROM scheduled
