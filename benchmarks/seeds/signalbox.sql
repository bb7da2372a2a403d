-- Ten accounts in one team workspace with 2,000 tasks, a minute apart, each assigned to two members who did not
-- create it. Sizes and spread are those of peers.sql, so that a page weighs the same rows everywhere.
TRUNCATE accounts, streams, events CASCADE;

-- The hash is argon2id of the password in servers.py.
INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)
SELECT format('01900000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid,
       format('user%s@taskflow.test', n), format('User %s', n),
       '$argon2id$v=19$m=65536,t=3,p=4$PN6q+RX1zYnp3VHycZ/t5g$Xd3gSsI5Il9AXoMXxDlPJLfe9xfx8jlm77gwoERNIcs',
       'user', now(), now(), 1
FROM generate_series(1, 10) AS n;

-- A personal workspace has the id of its account.
INSERT INTO workspaces (id, name, slug, task_prefix, kind, viewers_comment, created_by, created_at, updated_at, version)
SELECT id, display_name, 'personal-' || right(id::text, 12), 'TASK', 'personal', false, id, now(), now(), 1 FROM accounts
UNION ALL
SELECT '01900000-0000-7000-9000-000000000001', 'Team', 'team', 'TEA', 'team', false,
       '01900000-0000-7000-8000-000000000001', now(), now(), 1;

INSERT INTO members (workspace_id, account_id, role, joined_at)
SELECT id, id, 'owner', now() FROM accounts
UNION ALL
SELECT '01900000-0000-7000-9000-000000000001', id,
       CASE id WHEN '01900000-0000-7000-8000-000000000001' THEN 'owner' ELSE 'member' END, now()
FROM accounts;

WITH task AS (
  SELECT n, 1 + n % 10 AS creator, now() - make_interval(mins => 2001 - n) AS stamp,
         format('Task %s: agree on the agenda of the next review', n) AS title,
         repeat('List what is open, who decides it, and what it waits for. ', 3) AS description,
         CASE n % 3 WHEN 0 THEN 'todo' WHEN 1 THEN 'in_progress' ELSE 'done' END AS status,
         CASE n % 3 WHEN 0 THEN 'low' WHEN 1 THEN 'medium' ELSE 'high' END AS priority
  FROM generate_series(1, 2000) AS n
),
people AS (
  SELECT task.*, array_agg(format('01900000-0000-7000-8000-%s', lpad(person::text, 12, '0'))::uuid ORDER BY place) AS ids
  FROM task, unnest(ARRAY[creator, 1 + creator % 10, 1 + (creator + 3) % 10]) WITH ORDINALITY AS listed (person, place)
  GROUP BY n, creator, stamp, title, description, status, priority
)
INSERT INTO tasks (id, workspace_id, key, title, description, status, priority, labels, assignees, watchers, due_at,
                   custom, comment_count, created_by, created_at, updated_at, completed_at, version, words)
-- A UUID of version 7: milliseconds since 1970, then digits that only need to differ.
SELECT (lpad(to_hex((extract(epoch FROM stamp) * 1000)::bigint), 12, '0') || '7' || left(md5(n::text), 3)
        || '8' || right(md5(n::text), 15))::uuid,
       '01900000-0000-7000-9000-000000000001', 'TEA-' || n, title, description, status, priority, '{}', ids[2:3], ids,
       CASE WHEN n % 4 > 0 THEN now() + make_interval(hours => n) END, '{}', 0, ids[1], stamp, stamp,
       CASE status WHEN 'done' THEN stamp END, 1,
       array_to_tsvector(ARRAY(
         SELECT DISTINCT word FROM regexp_split_to_table(lower(title || ' ' || description), '\W+') AS word
         WHERE word <> ''))
FROM people;

-- What a server keeps of lists is of another head each time, as the tasks are others.
INSERT INTO streams (name, head, tail)
SELECT 'workspace:01900000-0000-7000-9000-000000000001', head, head FROM (SELECT extract(epoch FROM now())::bigint AS head) AS _;

INSERT INTO task_numbers (workspace_id, last) VALUES ('01900000-0000-7000-9000-000000000001', 2000);
