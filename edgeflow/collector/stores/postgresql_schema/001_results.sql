-- Results, one row each. Monthly partitions by the moment of decision are made by the collector; what belongs to
-- none of them (a clock far off) is in results_other.
CREATE TABLE results (
    result_id text NOT NULL,
    root text NOT NULL, -- first levels of the box's topics
    site text,
    line text,
    station text,
    box text,
    session text NOT NULL, -- one run of the box
    seq bigint NOT NULL, -- counts the parts of a session without gaps
    part_id text NOT NULL,
    trigger_id text NOT NULL,
    product text,
    verdict text NOT NULL, -- OK, NG, UNDECIDED
    reason text NOT NULL,
    reason_code text,
    score double precision, -- 1.0 is the threshold
    score_raw double precision,
    threshold double precision, -- of score_raw
    worst_view text,
    bundle text NOT NULL,
    bundle_sha256 text NOT NULL,
    backend text NOT NULL,
    precision text NOT NULL,
    triggered_at timestamptz NOT NULL,
    acquired_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    total_ms double precision,
    deadline_ms double precision NOT NULL,
    decided_after_ms double precision NOT NULL,
    deadline_met boolean NOT NULL,
    gate_told boolean,
    evidence text, -- folder on the box
    replayed boolean NOT NULL,
    attempt integer NOT NULL,
    record jsonb NOT NULL, -- all that has no column: views, sync, durations_ms, context
    collected_at timestamptz NOT NULL,
    PRIMARY KEY (result_id, decided_at)
) PARTITION BY RANGE (decided_at);

CREATE TABLE results_other PARTITION OF results DEFAULT;

CREATE INDEX results_by_time ON results (decided_at);
CREATE INDEX results_by_part ON results (part_id);
CREATE INDEX results_rejected ON results (root, decided_at) WHERE verdict <> 'OK';

-- One row for each view of each result.
CREATE VIEW result_views AS
SELECT
    r.result_id,
    r.root,
    r.decided_at,
    r.part_id,
    r.verdict,
    v.value ->> 'id' AS view,
    (v.value ->> 'score')::double precision AS score,
    (v.value ->> 'score_raw')::double precision AS score_raw,
    (v.value ->> 'threshold')::double precision AS threshold,
    (v.value ->> 'skew_ms')::double precision AS skew_ms,
    v.value -> 'regions' AS regions
FROM results r CROSS JOIN LATERAL jsonb_array_elements(r.record -> 'views') v;

-- Results that a box gave up before they were delivered.
CREATE TABLE dropped (
    record_id text PRIMARY KEY,
    root text NOT NULL,
    first_id text NOT NULL,
    last_id text NOT NULL,
    count bigint NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL,
    collected_at timestamptz NOT NULL
);

-- Messages that could not become a row.
CREATE TABLE set_aside (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,
    root text NOT NULL,
    kind text NOT NULL,
    result_id text NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL,
    set_aside_at timestamptz NOT NULL
);

CREATE TABLE boxes (
    root text PRIMARY KEY,
    session text NOT NULL,
    seen_at timestamptz NOT NULL,
    two_boxes_at timestamptz -- when two running boxes were last seen under this name
);

CREATE TABLE identity (id uuid NOT NULL);
INSERT INTO identity VALUES (gen_random_uuid());
