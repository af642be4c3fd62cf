-- What the stub holds: buckets of folders of numbered objects, and single objects beside them.
--
-- A key FOLDER .. nine digits is a numbered object: its presence is one bit, its ETag and checksum follow from its number,
-- so 10^8 of them are 12.5 MB. One that a request wrote with other content has an entry in `changed` as well. Every other
-- key (manifests, reports, canaries) is a single object, held whole.
-- No request or answer is known here.
local ffi, bit = require 'ffi', require 'bit'
local band, bor, bnot, lshift, rshift = bit.band, bit.bor, bit.bnot, bit.lshift, bit.rshift

local M = {}
local MIDDLE = 'c0ffee5ba7c4ed' -- of an ETag: digits .. MIDDLE .. digits, 32 hexadecimal characters
local MULTIPART_MIDDLE = 'ab50acedc0de00'
local buckets = {}

function M.reset() buckets = {} end

function M.bucket(name)
  local b = buckets[name]
  if not b then
    b = { folders = {}, names = {}, singles = {}, keys = {}, size = 1024, multipart = false, honours = true }
    buckets[name] = b
  end
  return b
end

-- ---------------------------------------------------------------------------------------------- numbered objects: bits
local function bytes_for(count) return rshift(count + 7, 3) end

local function grow(folder, index)
  if index < folder.capacity then return end
  -- doubling, so that filling in order copies each byte about once; a bitmap grown by one page at a time goes quadratic
  local capacity = math.max(folder.capacity * 2, 65536)
  while capacity <= index do capacity = capacity * 2 end
  local bits = ffi.new('uint8_t[?]', bytes_for(capacity) + 8)
  if folder.bits then ffi.copy(bits, folder.bits, bytes_for(folder.capacity)) end
  folder.bits, folder.capacity = bits, capacity
end

function M.folder(b, name, make)
  local f = b.folders[name]
  if not f and make then
    f = { name = name, bits = nil, capacity = 0, top = -1, changed = {} }
    b.folders[name] = f
    b.names[#b.names + 1] = name
    table.sort(b.names)
  end
  return f
end

function M.fill(b, name, count)
  local f = M.folder(b, name, true)
  if count == 0 then return end
  grow(f, count - 1)
  local whole = rshift(count, 3)
  ffi.fill(f.bits, whole, 255)
  for i = whole * 8, count - 1 do f.bits[rshift(i, 3)] = bor(f.bits[rshift(i, 3)], lshift(1, band(i, 7))) end
  f.top = math.max(f.top, count - 1)
end

local function has(f, i)
  return f ~= nil and i <= f.top and band(f.bits[rshift(i, 3)], lshift(1, band(i, 7))) ~= 0
end

-- the first present number from i on, or nil
local function next_present(f, i, last)
  local top = math.min(f.top, last)
  local bits = f.bits
  while i <= top do
    if band(i, 7) == 0 and bits[rshift(i, 3)] == 0 then i = i + 8
    elseif band(bits[rshift(i, 3)], lshift(1, band(i, 7))) ~= 0 then return i
    else i = i + 1 end
  end
end

function M.split(key) -- a numbered key's folder and number
  local folder, digits = key:match('^(.-)(%d%d%d%d%d%d%d%d%d)$')
  if folder and (folder == '' or folder:sub(-1) == '/') then return folder, tonumber(digits) end
end

-- ------------------------------------------------------------------------------------------------------- one object
-- An object as a table { etag, size, body?, checksum, type?, metadata? }. `plain` = what a numbered object is unless changed.
local function plain(b, i)
  local digits = string.format('%09d', i)
  local etag = b.multipart and digits..MULTIPART_MIDDLE..digits..'-2' or digits..MIDDLE..digits
  return { etag = etag, size = b.size, number = i, content = i..' '..b.size }
end

function M.get(b, key)
  local single = b.singles[key]
  if single then return single end
  local name, i = M.split(key)
  if not name then return nil end
  local f = b.folders[name]
  if has(f, i) then return f.changed[i] or plain(b, i) end
end

function M.put(b, key, object)
  local name, i = M.split(key)
  if not name then
    if not b.singles[key] then b.keys[#b.keys + 1] = key; b.sorted = false end
    b.singles[key] = object
    return
  end
  local f = M.folder(b, name, true)
  grow(f, i)
  f.bits[rshift(i, 3)] = bor(f.bits[rshift(i, 3)], lshift(1, band(i, 7)))
  if i > f.top then f.top = i end
  f.changed[i] = object -- nil: a plain one
end

-- Copy an object; returns the copy's ETag. A copy is one part, so its ETag is never a multipart one (AWS's rule) unless
-- the target bucket is one whose ETags are. A plain object under the same number stays plain: nothing to remember.
function M.copy(source, target_bucket, key)
  local _, i = M.split(key)
  if i and source.number == i and source.size == target_bucket.size then
    M.put(target_bucket, key, nil)
    return plain(target_bucket, i).etag
  end
  local copy = {}
  for name, value in pairs(source) do copy[name] = value end
  if copy.etag:find('-', 1, true) and not target_bucket.multipart then copy.etag = ngx.md5(copy.content) end
  copy.number = nil
  M.put(target_bucket, key, copy)
  return copy.etag
end

function M.delete(b, key)
  if b.singles[key] then
    b.singles[key] = nil
    for n, k in ipairs(b.keys) do if k == key then table.remove(b.keys, n) break end end
    return
  end
  local name, i = M.split(key)
  local f = name and b.folders[name]
  if has(f, i) then
    f.bits[rshift(i, 3)] = band(f.bits[rshift(i, 3)], bnot(lshift(1, band(i, 7))))
    f.changed[i] = nil
  end
end

-- -------------------------------------------------------------------------------------------------------- listing
local function starts(text, with) return text:sub(1, #with) == with end

-- The numbers of a folder whose keys begin with `prefix`: first, last; nil for none.
local function numbers_under(name, prefix)
  if starts(name, prefix) then return 0, 999999999 end
  if not starts(prefix, name) then return nil end
  local digits = prefix:sub(#name + 1)
  if #digits > 9 or digits:find('%D') then return nil end
  return tonumber(digits..string.rep('0', 9 - #digits)), tonumber(digits..string.rep('9', 9 - #digits))
end

-- The first number of a folder whose key is greater than `after`; may be beyond the last.
local function number_after(name, after)
  if after < name..'000000000' then return 0 end
  if after >= name..'999999999' then return 1000000000 end
  local digits = after:sub(#name + 1):match('^%d*'):sub(1, 9) -- between those two, `after` begins with the name
  local rest = after:sub(#name + #digits + 1)
  if #digits == 9 then return tonumber(digits) + 1 end
  if rest == '' or rest < '0' then return tonumber(digits..string.rep('0', 9 - #digits)) end
  return tonumber(digits..string.rep('9', 9 - #digits)) + 1
end

-- Up to `limit` keys after `after` that begin with `prefix`, in order, as runs:
-- { folder = f, numbers = {...} } or { key = k }. Second result: whether there are more.
function M.list(b, prefix, after, limit)
  if not b.sorted then table.sort(b.keys); b.sorted = true end
  local sources = {}
  for _, name in ipairs(b.names) do
    local first, last = numbers_under(name, prefix)
    local f = b.folders[name]
    if first and f.top >= 0 then
      local i = next_present(f, math.max(first, number_after(name, after)), last)
      if i then sources[#sources + 1] = { folder = f, at = i, last = last, key = string.format('%s%09d', name, i) } end
    end
  end
  local n = 1
  while b.keys[n] and (b.keys[n] <= after or b.keys[n] < prefix) do n = n + 1 end
  local single = b.keys[n]
  local runs, count = {}, 0
  while count < limit do
    if single and not starts(single, prefix) then single = nil end
    local best
    for s = 1, #sources do if sources[s].key and (not best or sources[s].key < best.key) then best = sources[s] end end
    if single and (not best or single < best.key) then
      runs[#runs + 1] = { key = single }; count = count + 1
      n = n + 1; single = b.keys[n]
    elseif best then
      -- take from this folder until another source's key comes first
      local stop = single
      for s = 1, #sources do
        local key = sources[s] ~= best and sources[s].key
        if key and (not stop or key < stop) then stop = key end
      end
      local last = best.last
      if stop then last = math.min(last, number_after(best.folder.name, stop) - 1) end
      local numbers, i = {}, best.at
      while i and count < limit do
        count = count + 1; numbers[#numbers + 1] = i
        i = next_present(best.folder, i + 1, last)
      end
      runs[#runs + 1] = { folder = best.folder, numbers = numbers }
      if not i then i = next_present(best.folder, numbers[#numbers] + 1, best.last) end
      best.at, best.key = i, i and string.format('%s%09d', best.folder.name, i)
    else
      return runs, false
    end
  end
  if single and starts(single, prefix) then return runs, true end
  for s = 1, #sources do if sources[s].key then return runs, true end end
  return runs, false
end

M.middle = function(b) return b.multipart and MULTIPART_MIDDLE or MIDDLE end
M.plain_suffix = function(b) return b.multipart and '-2' or '' end

return M
