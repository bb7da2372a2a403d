-- Ten users and 2,000 tasks, a minute apart, each assigned to two users who did not create it.
-- Sizes and spread are those of signalbox.sql, so that a page weighs the same rows everywhere.
TRUNCATE users, tasks, task_assignments;

-- The hash is bcrypt, cost 10, of the password in servers.py.
INSERT INTO users (email, name, password_hash)
SELECT format('user%s@taskflow.test', n), format('User %s', n),
       '$2b$10$F6iCsc29ZMcQOxCpFjQ.A.1BHoNWqApSP81WbTfwCAHRCofGkMNDu'
FROM generate_series(1, 10) AS n;

INSERT INTO tasks (title, description, status, priority, due_date, creator_id, created_at, updated_at)
SELECT format('Task %s: agree on the agenda of the next review', n),
       repeat('List what is open, who decides it, and what it waits for. ', 3),
       (CASE n % 3 WHEN 0 THEN 'todo' WHEN 1 THEN 'in_progress' ELSE 'done' END)::task_status,
       (CASE n % 3 WHEN 0 THEN 'low' WHEN 1 THEN 'medium' ELSE 'high' END)::task_priority,
       CASE WHEN n % 4 > 0 THEN now() + make_interval(hours => n) END,
       users.id, stamp, stamp
FROM generate_series(1, 2000) AS n
CROSS JOIN LATERAL (SELECT now() - make_interval(mins => 2001 - n) AS stamp) AS moment
JOIN users ON users.email = format('user%s@taskflow.test', 1 + n % 10);

INSERT INTO task_assignments (task_id, user_id)
SELECT tasks.id, assignee.id
FROM tasks
JOIN users AS creator ON creator.id = tasks.creator_id
JOIN users AS assignee ON assignee.email IN (
  format('user%s@taskflow.test', 1 + substring(creator.email from '\d+')::int % 10),
  format('user%s@taskflow.test', 1 + (substring(creator.email from '\d+')::int + 3) % 10));
