"""Minutes late on arrival, predicted at push-back, for flights that leave New York (EWR, JFK, LGA)."""

from roundtrip.contracts.use_cases import Baseline, Between, Feed, Input, OneOf, Output, Rollout, Slice, UseCase

CATEGORIES = (
    Input(name="carrier", kind="category", unit="IATA code", source="flights", meaning="operating airline", optional=False),
    Input(name="origin", kind="category", unit="IATA code", source="flights", meaning="airport of departure", optional=False),
    Input(name="destination", kind="category", unit="IATA code", source="flights", meaning="airport of arrival", optional=False),
    Input(name="manufacturer", kind="category", unit="name", source="planes",
          meaning="maker of the aircraft; NULL where the register lacks it"),
)  # fmt: skip

NUMBERS = (
    Input(name="departure_delay_minutes", kind="number", unit="min", source="flights", minimum=-60, maximum=1500, optional=False,
          meaning="off the gate, against schedule; known at push-back"),
    Input(name="scheduled_departure_hour", kind="number", unit="h", source="flights", minimum=0, maximum=24, optional=False,
          meaning="scheduled local time of departure, hour with fraction", drifts_by_nature=True),
    Input(name="day_of_week", kind="number", unit="1 = Monday", source="flights", minimum=1, maximum=7, optional=False,
          meaning="day of the scheduled departure", drifts_by_nature=True),
    Input(name="distance_miles", kind="number", unit="mi", source="flights", minimum=0, maximum=6000, optional=False,
          meaning="great circle from origin to destination"),
    Input(name="scheduled_minutes", kind="number", unit="min", source="flights", minimum=0, maximum=900,
          meaning="scheduled gate to gate"),
    Input(name="schedule_padding_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=120,
          meaning="scheduled minutes against the mean of the route's arrivals of the 28 days before"),
    Input(name="route_gain_28d_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=300,
          meaning="mean gain (arrival delay − departure delay) of flights on the route that arrived in the 28 days before"),
    Input(name="route_ground_28d_minutes", kind="number", unit="min", source="flights", minimum=-60, maximum=300,
          meaning="mean minutes on the ground (gate to gate less air time) of flights on the route that arrived in the 28 days before"),
    Input(name="destination_gain_3h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=300,
          meaning="mean gain of flights to the destination that arrived in the last 3 h"),
    Input(name="destination_gain_6h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=300,
          meaning="the same over 6 h"),
    Input(name="destination_gain_24h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=300,
          meaning="the same over 24 h"),
    Input(name="destination_air_time_4h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=200,
          meaning="mean air time of flights to the destination that arrived in the last 4 h, against their route's mean of the 28 days "
                  "before"),
    Input(name="destination_air_time_12h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=200,
          meaning="the same over 12 h"),
    Input(name="air_time_per_1000_miles_6h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=200,
          meaning="air time per 1000 miles of all flights that arrived in the last 6 h and fly up to 1200 miles, or beyond, as this one "
                  "does, against their routes' means of the 28 days before: headwinds"),
    Input(name="direction_air_time_4h_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=200,
          meaning="mean air time of flights that arrived in the last 4 h, flew in the same of twelve directions and as far (up to 600, "
                  "1200, 2000 miles, or beyond), against their routes' means of the 28 days before: winds aloft"),
    Input(name="flight_gain_28d_minutes", kind="number", unit="min", source="flights", minimum=-120, maximum=300,
          meaning="mean gain of the same carrier and flight number over 28 days"),
    Input(name="origin_ground_1h_minutes", kind="number", unit="min", source="flights", minimum=-60, maximum=200,
          meaning="mean minutes on the ground (gate to gate less air time) of flights from the origin that arrived in the last hour, "
                  "against their route's mean of the 28 days before"),
    Input(name="origin_departure_delay_1h_minutes", kind="number", unit="min", source="flights", minimum=-60, maximum=1500,
          meaning="mean departure delay of flights that pushed back at the origin in the last hour, this one included"),
    Input(name="origin_departures_30m", kind="number", unit="flights", source="flights", minimum=1, maximum=200,
          meaning="flights that pushed back at the origin in the last 30 min, this one included: the queue for the runway"),
    Input(name="wind_speed_mph", kind="number", unit="mph", source="weather", minimum=0, maximum=100,
          meaning="at the origin, last report", drifts_by_nature=True),
    Input(name="wind_from_degrees", kind="number", unit="°", source="weather", minimum=0, maximum=360,
          meaning="at the origin, last report", drifts_by_nature=True),
    Input(name="pressure_hpa", kind="number", unit="hPa", source="weather", minimum=900, maximum=1100,
          meaning="at the origin, last report", drifts_by_nature=True),
    Input(name="visibility_miles", kind="number", unit="mi", source="weather", minimum=0, maximum=10,
          meaning="at the origin, last report", drifts_by_nature=True),
    Input(name="temperature_f", kind="number", unit="°F", source="weather", minimum=-40, maximum=130,
          meaning="at the origin, last report", drifts_by_nature=True),
)  # fmt: skip

USE_CASE = UseCase(
    name="flight_eta",
    title="Flight ETA",
    owner="roundtrip",
    description=__doc__ or "",
    feeds=(
        Feed(
            name="operations",
            dag="ingest",
            sources=("flights", "weather", "planes", "airports", "airlines"),
            stages=(
                ("raw_flights", "raw_weather", "raw_planes", "raw_airports", "raw_airlines"),
                ("clean_flights", "clean_weather"),
                ("features",),
            ),
            emits="features",
        ),
        Feed(name="outcomes", dag="ingest_outcomes", sources=("outcomes",), stages=(("raw_outcomes",), ("outcomes",)), emits="outcomes"),
    ),
    features_table="features",
    outcomes_table="outcomes",
    predictions_table="predictions",
    key=("flight_id",),
    label="arrival_delay_minutes",
    inputs=CATEGORIES + NUMBERS,
    outputs=(
        Output(name="arrival_delay_minutes", unit="min", quantile=0.5),
        Output(name="arrival_delay_minutes_p10", unit="min", quantile=0.1),
        Output(name="arrival_delay_minutes_p90", unit="min", quantile=0.9),
    ),
    baseline=Baseline(column="departure_delay_minutes", meaning="carry-over: the delay at push-back plus the training rows' median gain"),
    slices=(
        Slice(input="origin"),
        Slice(input="carrier"),
        Slice(input="distance_miles", bands=(500, 1000, 2000)),
        Slice(input="departure_delay_minutes", bands=(0, 15, 60)),
        Slice(input="scheduled_departure_hour", bands=(9, 12, 15, 18)),
    ),
    prediction_time="pushed_back_at",
    replayed=True,  # the flights of 2013
    rollout=Rollout(canary_shares=(10, 25, 50), canary_requests=60),
    search=(
        Between(field="learning_rate", low=5e-4, high=1e-2, log=True),
        Between(field="weight_decay", low=1e-6, high=1e-1, log=True),
        OneOf(field="hidden", choices=((64, 32), (128, 64), (256, 128), (512, 256), (256, 128, 64))),
        Between(field="embedding_width", low=4, high=16),
        Between(field="number_bins", low=4, high=24),
        Between(field="input_dropout", low=0.0, high=0.3),
        OneOf(field="batch_size", choices=(512, 1024, 2048, 4096)),
        Between(field="epochs", low=3, high=10),
    ),
    intended_use="Tells passengers, crews and connecting operations, at push-back, when a flight from New York will arrive: the median as "
    "the estimate, the interval as its margin. A person decides on what follows from it.",
    limits=(
        "Departures from EWR, JFK and LGA only; a carrier, destination or maker that training has not seen counts as unknown.",
        "Arrivals only: cancelled and diverted flights have no outcome, so nothing is learned about them.",
        "It knows the season that it was trained on: expect larger errors, and an interval that covers less, in months unlike it.",
        "What happens after push-back (holding, a closed runway, a diversion) is not among its inputs.",
        "Not for crew duty limits, fuel planning or any decision on safety.",
    ),
)
