-- The history of tiers holds what staff and fraud rules changed, too: such a
-- row has one segment, before and after.
COMMENT ON TABLE c360.rfm_history IS 'When a customer''s segment or tier changed, by scoring, staff or a fraud rule; a NULL segment is no score';
COMMENT ON COLUMN c360.rfm_history.day IS 'shop day of the change; of one by scoring the day that was scored for';
