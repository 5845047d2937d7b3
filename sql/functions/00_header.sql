\echo Use "CREATE EXTENSION c360" to load this file. \quit

-- The script runs as whoever creates the extension, so nothing in it finds a
-- name by another's search_path: c360's own names are written with their
-- schema.
SET LOCAL search_path TO pg_catalog, pg_temp;
