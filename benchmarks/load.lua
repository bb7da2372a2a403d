-- Sends ready-made requests over and over and prints what one run of wrk saw.
-- BENCH_REQUESTS: a Lua file that returns the list of raw HTTP requests.
-- BENCH_SERIAL: the first number to write over the nine-character marker, so that no two requests are the same
-- update: a service that writes nothing when nothing changes would otherwise be measured doing nothing.
local MARKER = "#########"
local heads, tails = {}, {}
local serial = tonumber(os.getenv("BENCH_SERIAL"))

function init()
  for i, raw in ipairs(dofile(os.getenv("BENCH_REQUESTS"))) do
    local from, to = raw:find(MARKER, 1, true)
    heads[i] = from and raw:sub(1, from - 1) or raw
    tails[i] = from and raw:sub(to + 1) or false
  end
end

function request()
  local i = serial % #heads + 1
  serial = serial + 1
  if tails[i] then
    return heads[i] .. string.format("%09d", serial) .. tails[i]
  end
  return heads[i]
end

-- The whole histogram goes out, because slices are merged before percentiles are taken.
function done(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.timeout + e.status
  print(string.format("RUN %d %d %d %d", summary.requests, summary.duration, summary.bytes, failed))
  for k = 1, #latency do
    print(string.format("LATENCY %d %d", latency(k)))
  end
end
