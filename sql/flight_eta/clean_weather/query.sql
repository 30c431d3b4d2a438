-- One row an hourly report of an airport of departure, with the moment from which it may be used.
-- The report labelled with an hour was taken at about :51 of it, so it is known from the next full hour on.
SELECT
    concat_ws('_', origin, date_format(time_hour, 'yyyy-MM-dd-HH')) AS report_id,
    event_month,
    origin,
    time_hour + INTERVAL 1 HOUR AS known_at,
    temp AS temperature_f,
    humid AS humidity_percent,
    wind_dir AS wind_from_degrees,
    wind_speed AS wind_speed_mph,
    precip AS precipitation_inches,
    pressure AS pressure_hpa,
    visib AS visibility_miles
FROM raw_weather
