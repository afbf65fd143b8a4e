CREATE TABLE postings (
    result_id TEXT PRIMARY KEY,
    decided_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at TEXT NOT NULL,
    made_at TEXT NOT NULL
);
CREATE INDEX postings_by_due ON postings (due_at);
