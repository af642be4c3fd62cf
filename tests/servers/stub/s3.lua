-- The S3 side of the stub: requests in, answers out. No signature is checked and no bucket needs making.
--
-- It knows: GET, HEAD, PUT, CopyObject, DELETE, DeleteObjects, ListObjectsV2 (prefix, start-after, continuation-token,
-- max-keys, delimiter `/`, encoding-type), multipart uploads with copied parts, checksums on HEAD, GetObjectAttributes,
-- and empty answers for the sub-resources that a preflight asks for. Unversioned only.
-- Its own calls begin with /__ (see control below).
local objects = require 'objects'
local M = {}
local X = '<?xml version="1.0" encoding="UTF-8"?>\n'
local NS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
local DATE, HTTP_DATE = '2026-01-02T03:04:05.000Z', 'Fri, 02 Jan 2026 03:04:05 GMT'
local XML = 'application/xml'
local PIECE = string.rep('x', 65536)
local MAX_KEYS = 1000
local methods, kinds, deleted_keys, uploads, upload_count = {}, {}, 0, {}, 0
local THREE = {}
for n = 0, 999 do THREE[n] = string.format('%03d', n) end

-- ---------------------------------------------------------------------------------------------------------- answers
-- An answer is sent as a table of pieces and never joined: LuaJIT interns each new string and hashes only a few of its
-- bytes, so long answers that differ little fall into one hash chain and every request is slower than the one before.
local function send(pieces, content_type, status)
  local header, length = ngx.header, 0
  for n = 1, #pieces do length = length + #pieces[n] end
  if status then ngx.status = status end
  header['x-amz-request-id'] = '4442587FB7D0A2F9'
  if content_type then header['Content-Type'] = content_type end
  header['Content-Length'] = length
  if length > 0 then ngx.print(pieces) end
end
local function nothing(status)
  ngx.status = status
  ngx.header['x-amz-request-id'] = '4442587FB7D0A2F9'
  return ngx.send_headers()
end
local function refuse(status, code)
  if ngx.req.get_method() == 'HEAD' then return nothing(status) end
  return send({ X, '<Error><Code>', code, '</Code><Message>', code, '</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>' }, XML, status)
end

local ESCAPES = { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;', ['\r'] = '&#13;' }
local function escape_xml(text) return (text:gsub('[&<>"\r]', ESCAPES)) end
local NAMED = { lt = '<', gt = '>', quot = '"', apos = "'", amp = '&' }
local function utf8(n)
  if n < 0x80 then return string.char(n) end
  if n < 0x800 then return string.char(0xC0 + math.floor(n / 64), 0x80 + n % 64) end
  if n < 0x10000 then return string.char(0xE0 + math.floor(n / 4096), 0x80 + math.floor(n / 64) % 64, 0x80 + n % 64) end
  return string.char(0xF0 + math.floor(n / 262144), 0x80 + math.floor(n / 4096) % 64, 0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
end
local function unescape_xml(text)
  if not text:find('&', 1, true) then return text end
  return (text:gsub('&(#?)(x?)(%w+);', function(number, hex, name)
    if number == '' then return NAMED[hex..name] end
    return utf8(tonumber(name, hex == 'x' and 16 or 10))
  end))
end
-- as S3 encodes with encoding-type=url: a blank becomes +, a slash stays
local function escape_url(text)
  return (text:gsub('[^%w%-%._%*/ ]', function(c) return string.format('%%%02X', c:byte()) end):gsub(' ', '+'))
end
local function unescape_url(text)
  if not text:find('%', 1, true) then return text end
  return (text:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end

local function request_body()
  local data = ngx.req.get_body_data()
  if data then return data end
  local name = ngx.req.get_body_file()
  if not name then return '' end
  local file = io.open(name, 'rb')
  data = file:read('*a')
  file:close()
  return data
end

-- ------------------------------------------------------------------------------------------------------- conditions
local function unquoted(etag) return (etag:gsub('^"', ''):gsub('"$', '')) end

-- nil when a request's conditions on the object at its key hold; otherwise the status and code of the refusal
local function failed_condition(bucket, now)
  local v = ngx.var
  local none, wanted = v.http_if_none_match, v.http_if_match
  -- nginx would judge its own answer by them too: 304 for a PUT with If-None-Match: *
  if none then ngx.req.clear_header('If-None-Match') end
  if wanted then ngx.req.clear_header('If-Match') end
  if not bucket.honours then return nil end
  if none == '*' and now then return 412, 'PreconditionFailed' end
  if wanted then
    if not now then return 404, 'NoSuchKey' end
    if wanted ~= '*' and unquoted(wanted) ~= now.etag then return 412, 'PreconditionFailed' end
  end
end

-- the source of a copy: the object, or nil and the refusal
local function copy_source(target_bucket)
  local header = ngx.var.http_x_amz_copy_source
  local path = unescape_url((header:gsub('%?versionId=.*$', ''))):gsub('^/', '')
  local name, key = path:match('^([^/]+)/(.+)$')
  local source_bucket = name and objects.bucket(name)
  local source = source_bucket and objects.get(source_bucket, key)
  if not source then return nil, 404, 'NoSuchKey' end
  local wanted = ngx.var.http_x_amz_copy_source_if_match
  if wanted and source_bucket.honours and target_bucket.honours and unquoted(wanted) ~= source.etag then
    return nil, 412, 'PreconditionFailed'
  end
  return source
end

-- ---------------------------------------------------------------------------------------------------------- listing
local function entry_tail(bucket)
  return objects.plain_suffix(bucket)..'&quot;</ETag><Size>'..string.format('%d', bucket.size)..
    '</Size><StorageClass>STANDARD</StorageClass></Contents>'
end

local function add_run(out, bucket, folder, numbers, encode)
  local head, tail = '<Contents><Key>'..encode(folder.name), entry_tail(bucket)
  local middle = '</Key><LastModified>'..DATE..'</LastModified><ETag>&quot;'
  local between = objects.middle(bucket)
  local o, thousand, key_head, etag_head, etag_middle = #out, -1, nil, nil, nil
  for n = 1, #numbers do
    local i = numbers[n]
    local changed = folder.changed[i]
    if changed then
      out[o + 1] = head..string.format('%09d', i)..middle; out[o + 2] = changed.etag
      out[o + 3] = '&quot;</ETag><Size>'..string.format('%d', changed.size)..'</Size><StorageClass>STANDARD</StorageClass></Contents>'
      o = o + 3
    else
      -- six digits are made once per thousand keys and three are ready: no new string per key
      local t = math.floor(i / 1000)
      if t ~= thousand then
        thousand = t
        local six = string.format('%06d', t)
        key_head, etag_head, etag_middle = head..six, middle..six, between..six
      end
      local three = THREE[i - t * 1000]
      out[o + 1] = key_head; out[o + 2] = three; out[o + 3] = etag_head; out[o + 4] = three
      out[o + 5] = etag_middle; out[o + 6] = three; out[o + 7] = tail
      o = o + 7
    end
  end
end

local function add_single(out, object, key, encode)
  local o = #out
  out[o + 1] = '<Contents><Key>'; out[o + 2] = encode(key)
  out[o + 3] = '</Key><LastModified>'..DATE..'</LastModified><ETag>&quot;'; out[o + 4] = object.etag
  out[o + 5] = '&quot;</ETag><Size>'..string.format('%d', object.size)..'</Size><StorageClass>STANDARD</StorageClass></Contents>'
end

-- with a delimiter: the folders right below the prefix, each once, in the first page, and the keys in between
local function common_prefixes(bucket, prefix, encode)
  local found, out = {}, {}
  local function note(key)
    if key:sub(1, #prefix) ~= prefix then return end
    local slash = key:find('/', #prefix + 1, true)
    if slash then found[key:sub(1, slash)] = true end
  end
  for _, name in ipairs(bucket.names) do
    if bucket.folders[name].top >= 0 then note(name) end
  end
  for _, key in ipairs(bucket.keys) do note(key) end
  for name in pairs(found) do out[#out + 1] = name end
  table.sort(out)
  for n, name in ipairs(out) do out[n] = '<CommonPrefixes><Prefix>'..encode(name)..'</Prefix></CommonPrefixes>' end
  return out
end

local function text_argument(value) return type(value) == 'string' and value or '' end

local function list(bucket, name)
  local a = ngx.req.get_uri_args()
  local prefix, after = text_argument(a.prefix), text_argument(a['start-after'])
  local first = not a['continuation-token']
  if not first then after = ngx.decode_base64(a['continuation-token']) or after end
  local limit = math.min(tonumber(a['max-keys']) or MAX_KEYS, MAX_KEYS)
  local is_url = a['encoding-type'] == 'url'
  local encode = is_url and escape_url or escape_xml
  local runs, more = objects.list(bucket, prefix, after, limit)
  local out, count, last = { '' }, 0, nil
  for _, run in ipairs(runs) do
    local below = a.delimiter == '/' and (run.key or run.folder.name):find('/', #prefix + 1, true)
    if run.key then
      last = run.key
      if not below then count = count + 1; add_single(out, bucket.singles[run.key], run.key, encode) end
    else
      last = string.format('%s%09d', run.folder.name, run.numbers[#run.numbers])
      if not below then count = count + #run.numbers; add_run(out, bucket, run.folder, run.numbers, encode) end
    end
  end
  if a.delimiter == '/' and first then
    for _, piece in ipairs(common_prefixes(bucket, prefix, encode)) do count = count + 1; out[#out + 1] = piece end
  end
  out[1] = X..'<ListBucketResult'..NS..'><Name>'..name..'</Name><Prefix>'..encode(prefix)..'</Prefix><KeyCount>'..count..
    '</KeyCount><MaxKeys>'..limit..'</MaxKeys>'..(is_url and '<EncodingType>url</EncodingType>' or '')..
    '<IsTruncated>'..tostring(more)..'</IsTruncated>'..
    (more and '<NextContinuationToken>'..ngx.encode_base64(last)..'</NextContinuationToken>' or '')
  out[#out + 1] = '</ListBucketResult>'
  return send(out, XML)
end

-- ------------------------------------------------------------------------------------------------------ one object
local function checksum(object) return ngx.encode_base64(ngx.md5_bin(object.content):sub(1, 8)) end

local function byte_range(size)
  local first, last = (ngx.var.http_range or ''):match('^bytes=(%d+)%-(%d*)$')
  if not first then return 0, size - 1, false end
  return tonumber(first), math.min(tonumber(last) or size - 1, size - 1), true
end

local function read(bucket, key, is_head)
  local object = objects.get(bucket, key)
  if not object then return refuse(404, 'NoSuchKey') end
  local status, code = failed_condition(bucket, object)
  if status then return refuse(status, code) end
  local header = ngx.header
  header['ETag'] = '"'..object.etag..'"'
  header['Last-Modified'] = HTTP_DATE
  header['Content-Type'] = object.type or 'binary/octet-stream'
  header['Accept-Ranges'] = 'bytes'
  header['x-amz-request-id'] = '4442587FB7D0A2F9'
  for name, value in pairs(object.metadata or {}) do header[name] = value end
  if ngx.var.http_x_amz_checksum_mode then
    header['x-amz-checksum-crc64nvme'] = checksum(object)
    header['x-amz-checksum-type'] = 'FULL_OBJECT'
  end
  local from, to, is_part = byte_range(object.size)
  if is_part then
    if from > to then return refuse(416, 'InvalidRange') end
    ngx.status = 206
    header['Content-Range'] = string.format('bytes %d-%d/%d', from, to, object.size)
  end
  header['Content-Length'] = string.format('%d', to - from + 1)
  if is_head then return ngx.send_headers() end
  if object.body then return ngx.print(object.body:sub(from + 1, to + 1)) end
  local left = to - from + 1
  while left > 0 do
    ngx.print(left >= #PIECE and PIECE or PIECE:sub(1, left))
    left = left - #PIECE
    if left > 0 then ngx.flush(true) end
  end
end

local function described(object)
  object.type = ngx.var.http_content_type
  for name, value in pairs(ngx.req.get_headers()) do
    if name:sub(1, 11) == 'x-amz-meta-' then
      object.metadata = object.metadata or {}
      object.metadata[name] = value
    end
  end
  return object
end

local function put(bucket, key)
  local status, code = failed_condition(bucket, objects.get(bucket, key))
  if status then return refuse(status, code) end
  local body = request_body()
  local etag = ngx.md5(body)
  objects.put(bucket, key, described({ etag = etag, size = #body, body = body, content = etag }))
  ngx.header['ETag'] = '"'..etag..'"'
  return send({})
end

local COPIED = X..'<CopyObjectResult'..NS..'><LastModified>'..DATE..'</LastModified><ETag>"'
local function copy(bucket, key)
  local source, status, code = copy_source(bucket)
  if not source then return refuse(status, code) end
  status, code = failed_condition(bucket, objects.get(bucket, key))
  if status then return refuse(status, code) end
  return send({ COPIED, objects.copy(source, bucket, key), '"</ETag></CopyObjectResult>' }, XML)
end

local function delete(bucket, key)
  if ngx.var.http_if_match then
    local status, code = failed_condition(bucket, objects.get(bucket, key))
    if status then return refuse(status, code) end
  end
  objects.delete(bucket, key)
  deleted_keys = deleted_keys + 1
  return nothing(204)
end

local function delete_many(bucket)
  local body = request_body()
  local is_quiet = body:find('<Quiet>true', 1, true)
  local out, count = { X..'<DeleteResult'..NS..'>' }, 0
  for entry in body:gmatch('<Object>(.-)</Object>') do
    count = count + 1
    local raw = entry:match('<Key>(.-)</Key>')
    local key, etag, code = unescape_xml(raw), entry:match('<ETag>(.-)</ETag>'), nil
    if etag and bucket.honours then
      local now = objects.get(bucket, key)
      code = (not now and 'NoSuchKey') or (unquoted(unescape_xml(etag)) ~= now.etag and 'PreconditionFailed') or nil
    end
    local o = #out
    if code then
      out[o + 1] = '<Error><Key>'; out[o + 2] = raw; out[o + 3] = '</Key><Code>'..code..'</Code><Message>'..code..'</Message></Error>'
    else
      objects.delete(bucket, key)
      deleted_keys = deleted_keys + 1
      if not is_quiet then out[o + 1] = '<Deleted><Key>'; out[o + 2] = raw; out[o + 3] = '</Key></Deleted>' end
    end
  end
  if count == 0 or count > MAX_KEYS then return refuse(400, 'MalformedXML') end
  out[#out + 1] = '</DeleteResult>'
  return send(out, XML)
end

local function attributes(bucket, key)
  local object = objects.get(bucket, key)
  if not object then return refuse(404, 'NoSuchKey') end
  ngx.header['Last-Modified'] = HTTP_DATE
  return send({ X, '<GetObjectAttributesResponse', NS, '><ETag>', object.etag, '</ETag><Checksum><ChecksumCRC64NVME>', checksum(object),
    '</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType></Checksum><ObjectSize>', string.format('%d', object.size),
    '</ObjectSize><StorageClass>STANDARD</StorageClass></GetObjectAttributesResponse>' }, XML)
end

-- --------------------------------------------------------------------------------------------------- multipart upload
local function create_upload(name, key)
  upload_count = upload_count + 1
  local id = string.format('upload%09d', upload_count)
  uploads[id] = { bucket = name, key = key, parts = {}, first = described({}) }
  return send({ X, '<InitiateMultipartUploadResult', NS, '><Bucket>', name, '</Bucket><Key>', escape_xml(key), '</Key><UploadId>', id,
    '</UploadId></InitiateMultipartUploadResult>' }, XML)
end

local PART_COPIED = X..'<CopyPartResult'..NS..'><LastModified>'..DATE..'</LastModified><ETag>"'
local function put_part(bucket, args)
  local upload, number = uploads[args.uploadId], tonumber(args.partNumber)
  if not upload then return refuse(404, 'NoSuchUpload') end
  if not ngx.var.http_x_amz_copy_source then
    local body = request_body()
    upload.parts[number] = { etag = ngx.md5(body), size = #body, body = body }
    ngx.header['ETag'] = '"'..upload.parts[number].etag..'"'
    return send({})
  end
  local source, status, code = copy_source(bucket)
  if not source then return refuse(status, code) end
  local first, last = (ngx.var.http_x_amz_copy_source_range or ''):match('^bytes=(%d+)%-(%d+)$')
  if not first then first, last = 0, source.size - 1 end
  first, last = tonumber(first), tonumber(last)
  if last >= source.size or first > last then return refuse(416, 'InvalidRange') end
  local body = source.body and source.body:sub(first + 1, last + 1)
  local etag = ngx.md5(body or string.format('%s %d %d', source.content, first, last))
  upload.parts[number] = { etag = etag, size = last - first + 1, body = body, content = source.content }
  return send({ PART_COPIED, etag, '"</ETag></CopyPartResult>' }, XML)
end

local function complete_upload(bucket, key, args)
  local upload = uploads[args.uploadId]
  if not upload then return refuse(404, 'NoSuchUpload') end
  local status, code = failed_condition(bucket, objects.get(bucket, key))
  if status then return refuse(status, code) end
  local etags, bodies, size, count, content = {}, {}, 0, 0, nil
  for entry in request_body():gmatch('<Part>(.-)</Part>') do
    local part = upload.parts[tonumber(entry:match('<PartNumber>(%d+)'))]
    if not part then return refuse(400, 'InvalidPart') end
    count, size = count + 1, size + part.size
    content = content or part.content
    etags[count] = part.etag:gsub('%x%x', function(hex) return string.char(tonumber(hex, 16)) end)
    bodies = bodies and part.body and bodies
    if bodies then bodies[count] = part.body end
  end
  if count == 0 then return refuse(400, 'MalformedXML') end
  local etag = ngx.md5(table.concat(etags))..'-'..count
  local body = bodies and table.concat(bodies)
  local object = upload.first
  -- a whole object copied by parts has its source's content, and so its checksum
  object.etag, object.size, object.body, object.content = etag, size, body, content or (body and ngx.md5(body)) or etag
  objects.put(bucket, key, object)
  uploads[args.uploadId] = nil
  return send({ X, '<CompleteMultipartUploadResult', NS, '><Location>l</Location><Bucket>', upload.bucket, '</Bucket><Key>', escape_xml(key),
    '</Key><ETag>"', etag, '"</ETag></CompleteMultipartUploadResult>' }, XML)
end

local function list_uploads(name)
  local out = { X, '<ListMultipartUploadsResult', NS, '><Bucket>', name, '</Bucket><IsTruncated>false</IsTruncated>' }
  for id, upload in pairs(uploads) do
    if upload.bucket == name then
      out[#out + 1] = '<Upload><Key>'..escape_xml(upload.key)..'</Key><UploadId>'..id..'</UploadId><Initiated>'..DATE..'</Initiated></Upload>'
    end
  end
  out[#out + 1] = '</ListMultipartUploadsResult>'
  return send(out, XML)
end

-- ---------------------------------------------------------------------------------------------------------- control
local function json(counts)
  local out = {}
  for name, count in pairs(counts) do out[#out + 1] = string.format('"%s": %d', name, count) end
  table.sort(out)
  return '{'..table.concat(out, ', ')..'}'
end

-- POST /__reset                                                   forget objects, uploads and counts
-- POST /__fill?bucket=&folder=&count=                             the folder's first `count` numbered objects are there
-- POST /__bucket?bucket=[&etags=single|multipart][&conditions=honoured|ignored][&size=]     before the bucket is filled
-- GET  /__counts                                                  requests by method and by kind, and keys deleted
local function control(call)
  local a = ngx.req.get_uri_args()
  if call == '__reset' then
    objects.reset()
    methods, kinds, deleted_keys, uploads = {}, {}, 0, {}
  elseif call == '__fill' then
    objects.fill(objects.bucket(a.bucket), a.folder, tonumber(a.count))
  elseif call == '__bucket' then
    local bucket = objects.bucket(a.bucket)
    if a.etags then bucket.multipart = a.etags == 'multipart' end
    if a.conditions then bucket.honours = a.conditions == 'honoured' end
    if a.size then bucket.size = tonumber(a.size) end
  elseif call == '__counts' then
    return send({ '{"methods": ', json(methods), ', "kinds": ', json(kinds), ', "deleted_keys": ', tostring(deleted_keys), '}\n' }, 'application/json')
  else
    return refuse(404, 'NoSuchCall')
  end
  return send({})
end

-- ---------------------------------------------------------------------------------------------------------- requests
local SUBRESOURCES = { -- GET of a bucket or object with only this in its query
  versioning = '<VersioningConfiguration'..NS..'/>',
  location = '<LocationConstraint'..NS..'/>',
  tagging = '<Tagging'..NS..'><TagSet></TagSet></Tagging>',
  notification = '<NotificationConfiguration'..NS..'/>',
  acl = '<AccessControlPolicy'..NS..'><Owner><ID>stub</ID></Owner><AccessControlList></AccessControlList></AccessControlPolicy>',
}
local ABSENT = {
  ['object-lock'] = 'ObjectLockConfigurationNotFoundError', lifecycle = 'NoSuchLifecycleConfiguration',
  replication = 'ReplicationConfigurationNotFoundError', policy = 'NoSuchBucketPolicy',
  encryption = 'ServerSideEncryptionConfigurationNotFoundError',
}

-- What a request is; the names are those that __counts uses.
local function kind_of(method, key, args, is_copy)
  if method == 'HEAD' then return key == '' and 'HeadBucket' or 'HeadObject' end
  if method == 'PUT' then
    if key == '' then return 'CreateBucket' end
    if args.uploadId then return is_copy and 'UploadPartCopy' or 'UploadPart' end
    if args.tagging or args.acl then return 'PutSubresource' end
    return is_copy and 'CopyObject' or 'PutObject'
  elseif method == 'DELETE' then
    if args.uploadId then return 'AbortMultipartUpload' end
    return (args.tagging and 'DeleteSubresource') or (key == '' and 'DeleteBucket') or 'DeleteObject'
  elseif method == 'POST' then
    return (args.delete and 'DeleteObjects') or (args.uploads and 'CreateMultipartUpload') or (args.uploadId and 'CompleteMultipartUpload') or 'Other'
  end
  if args['list-type'] == '2' then return 'ListObjectsV2' end
  if args.attributes then return 'GetObjectAttributes' end
  if args.uploads then return 'ListMultipartUploads' end
  for name in pairs(SUBRESOURCES) do if args[name] then return 'GetSubresource' end end
  for name in pairs(ABSENT) do if args[name] then return 'GetSubresource' end end
  if args.versions or args.uploadId then return 'Other' end
  if key ~= '' then return 'GetObject' end
  return 'ListBuckets'
end

local function subresource(args)
  for name, answer in pairs(SUBRESOURCES) do if args[name] then return send({ X, answer }, XML) end end
  for name, code in pairs(ABSENT) do if args[name] then return refuse(404, code) end end
end

local ACTIONS = {
  HeadBucket = function() ngx.header['x-amz-bucket-region'] = 'us-east-1'; return nothing(200) end,
  HeadObject = function(bucket, _, key) return read(bucket, key, true) end,
  GetObject = function(bucket, _, key) return read(bucket, key, false) end,
  ListObjectsV2 = function(bucket, name) return list(bucket, name) end,
  PutObject = function(bucket, _, key) return put(bucket, key) end,
  CopyObject = function(bucket, _, key) return copy(bucket, key) end,
  DeleteObject = function(bucket, _, key) return delete(bucket, key) end,
  DeleteObjects = function(bucket) return delete_many(bucket) end,
  GetObjectAttributes = function(bucket, _, key) return attributes(bucket, key) end,
  CreateMultipartUpload = function(_, name, key) return create_upload(name, key) end,
  UploadPart = function(bucket, _, _, args) return put_part(bucket, args) end,
  UploadPartCopy = function(bucket, _, _, args) return put_part(bucket, args) end,
  CompleteMultipartUpload = function(bucket, _, key, args) return complete_upload(bucket, key, args) end,
  ListMultipartUploads = function(_, name) return list_uploads(name) end,
  AbortMultipartUpload = function(_, _, _, args) uploads[args.uploadId] = nil; return nothing(204) end,
  GetSubresource = function(_, _, _, args) return subresource(args) end,
  PutSubresource = function() return send({}) end,
  DeleteSubresource = function() return nothing(204) end,
  CreateBucket = function() return send({}) end,
  DeleteBucket = function() return nothing(204) end,
  ListBuckets = function() return send({ X, '<ListAllMyBucketsResult', NS, '><Buckets></Buckets></ListAllMyBucketsResult>' }, XML) end,
}
local NO_ARGUMENTS = {}

function M.answer()
  local v, method = ngx.var, ngx.req.get_method()
  -- the raw path: nginx's own $uri has /../ and // resolved, and so names another object
  local path = v.request_uri:match('^[^?]*')
  local name, key = path:match('^/([^/]*)/?(.*)$')
  if name:sub(1, 2) == '__' then return control(name) end
  key = unescape_url(key)
  local args = v.args and v.args ~= '' and ngx.req.get_uri_args() or NO_ARGUMENTS
  local kind = kind_of(method, key, args, v.http_x_amz_copy_source ~= nil)
  methods[method] = (methods[method] or 0) + 1
  kinds[kind] = (kinds[kind] or 0) + 1
  ngx.req.read_body()
  if v.delay ~= '0' then ngx.sleep(tonumber(v.delay)) end
  local action = ACTIONS[kind]
  if not action then return refuse(501, 'NotImplemented') end
  return action(objects.bucket(name), name, key, args)
end

return M
