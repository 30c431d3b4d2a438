-- One row a flight whose arrival is confirmed: the label of the model.
SELECT
    concat_ws('_', format_string('%04d-%02d-%02d', year, month, day), carrier, flight, origin) AS flight_id,
    event_month,
    arr_delay AS arrival_delay_minutes
FROM raw_outcomes
