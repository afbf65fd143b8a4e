CREATE TABLE results (
    result_id TEXT PRIMARY KEY,
    root TEXT NOT NULL, -- first levels of the box's topics
    site TEXT,
    line TEXT,
    station TEXT,
    box TEXT,
    session TEXT NOT NULL, -- one run of the box
    seq INTEGER NOT NULL, -- counts the parts of a session without gaps
    part_id TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    product TEXT,
    verdict TEXT NOT NULL, -- OK, NG, UNDECIDED
    reason TEXT NOT NULL,
    reason_code TEXT,
    score REAL, -- 1.0 is the threshold
    score_raw REAL,
    threshold REAL, -- of score_raw
    worst_view TEXT,
    bundle TEXT NOT NULL,
    bundle_sha256 TEXT NOT NULL,
    backend TEXT NOT NULL,
    precision TEXT NOT NULL,
    triggered_at TEXT NOT NULL, -- UTC, as are all times; they sort as text
    acquired_at TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    total_ms REAL,
    deadline_ms REAL NOT NULL,
    decided_after_ms REAL NOT NULL,
    deadline_met INTEGER NOT NULL,
    gate_told INTEGER,
    evidence TEXT, -- folder on the box
    replayed INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    record TEXT NOT NULL, -- JSON, all that has no column: views, sync, durations_ms, context
    collected_at TEXT NOT NULL
);

CREATE INDEX results_by_time ON results (decided_at);
CREATE INDEX results_by_part ON results (part_id);
CREATE INDEX results_rejected ON results (root, decided_at) WHERE verdict <> 'OK';

CREATE VIEW result_views AS
SELECT
    r.result_id,
    r.root,
    r.decided_at,
    r.part_id,
    r.verdict,
    json_extract(v.value, '$.id') AS view,
    json_extract(v.value, '$.score') AS score,
    json_extract(v.value, '$.score_raw') AS score_raw,
    json_extract(v.value, '$.threshold') AS threshold,
    json_extract(v.value, '$.skew_ms') AS skew_ms,
    json_extract(v.value, '$.regions') AS regions
FROM results r, json_each(r.record, '$.views') v;

CREATE TABLE dropped (
    record_id TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    first_id TEXT NOT NULL,
    last_id TEXT NOT NULL,
    count INTEGER NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL,
    collected_at TEXT NOT NULL
);

CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    root TEXT NOT NULL,
    kind TEXT NOT NULL,
    result_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL,
    set_aside_at TEXT NOT NULL
);

CREATE TABLE boxes (
    root TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    two_boxes_at TEXT -- when two running boxes were last seen under this name
);

CREATE TABLE identity (id TEXT NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(16))));
