-- Beside signalbox.sql: 1,300 accounts to subscribe with, as one may hold ten connections; and ten workspaces of a task
-- each, to come back to ten streams. The first account of signalbox.sql, which makes the updates, is in all of them.
INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)
SELECT format('01900000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid,
       format('subscriber%s@taskflow.test', n), format('Subscriber %s', n), '', 'user', now(), now(), 1
FROM generate_series(1001, 2300) AS n;

INSERT INTO workspaces (id, name, slug, task_prefix, kind, viewers_comment, created_by, created_at, updated_at, version)
SELECT format('01900000-0000-7000-9000-%s', lpad(n::text, 12, '0'))::uuid,
       format('Place %s', n), format('place-%s', n), 'PLA', 'team', false,
       '01900000-0000-7000-8000-000000000001', now(), now(), 1
FROM generate_series(101, 110) AS n;

INSERT INTO members (workspace_id, account_id, role, joined_at)
SELECT id, '01900000-0000-7000-8000-000000000001', 'owner', now() FROM workspaces WHERE slug LIKE 'place-%'
UNION ALL
SELECT workspaces.id, accounts.id, 'member', now()
FROM workspaces, accounts
WHERE workspaces.kind = 'team' AND accounts.email LIKE 'subscriber%';

INSERT INTO tasks (id, workspace_id, key, title, description, status, priority, labels, assignees, watchers, custom,
                   comment_count, created_by, created_at, updated_at, version, words)
SELECT format('01900000-0000-7000-a000-%s', right(id::text, 12))::uuid, id, 'PLA-1', 'Agree on the agenda', '', 'todo',
       'low', '{}', '{}', '{}', '{}', 0, created_by, now(), now(), 1, array_to_tsvector(ARRAY['agenda'])
FROM workspaces WHERE slug LIKE 'place-%';

INSERT INTO task_numbers (workspace_id, last) SELECT id, 1 FROM workspaces WHERE slug LIKE 'place-%';
