-- What store.retention does to the tables, said where people look. No column changes. Partitions are named TABLE_pYYYYMMDD
-- and hold one UTC day of the table's time. With store.retention set, a partition is dropped when all of its day is older,
-- counted back from the newest row of all four tables; a row that comes later for such a day makes the partition again, and
-- it is dropped again. Other partitions (a default one, one with other bounds or another name) are left alone, so a day is
-- kept for good when it is detached and renamed:
--   ALTER TABLE bars DETACH PARTITION bars_p20240809; ALTER TABLE bars_p20240809 RENAME TO bars_of_that_day;
-- deadletter_summary, retrains and sink_offsets are small and kept.

COMMENT ON TABLE bars IS
    'Closed bars, the records of the topic `bars`. One partition per UTC day of close_time; store.retention drops '
    'old ones.';
COMMENT ON TABLE predictions IS
    'Predictions, the records of the topic `predictions`. One partition per UTC day of as_of; store.retention drops '
    'old ones.';
COMMENT ON TABLE outcomes IS
    'Settled predictions, the records of kind `outcome` of the topic `outcomes`. One partition per UTC day of '
    'target_time; store.retention drops old ones.';
COMMENT ON TABLE accuracy IS
    'Accuracy reports, the records of the topic `accuracy`. One partition per UTC day of as_of; store.retention drops '
    'old ones.';
COMMENT ON TABLE deadletter_summary IS 'Dead letters counted per day, origin and reason; kept for good.';
COMMENT ON TABLE retrains IS 'Retrain events, the records of the topic `retrain`; kept for good.';
