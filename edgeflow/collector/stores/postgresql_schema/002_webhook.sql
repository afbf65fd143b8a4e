-- Results that are to be posted to the webhook; a row goes when it was taken.
CREATE TABLE postings (
    result_id text PRIMARY KEY,
    decided_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX postings_by_due ON postings (due_at);
