-- Addresses of the servers behind this one, for as long as the engine is away.
--
-- The engine's own name server tells them, and falls silent with the engine, while the containers run on. So nobody waits for it here: one
-- worker asks for every name again and again, all workers use what it was told last, and only another answer replaces an answer. The memory
-- is shared and outlives a reload.
local addresses = {}

local NAME_SERVER, PORT = "127.0.0.11", 53
-- Milliseconds; it is in this container.
local PATIENCE = 1000
local TYPE_ADDRESS, LENGTH_ADDRESS = 1, 4

local known = ngx.shared.addresses

-- Writes a question for a name's IPv4 address (RFC 1035, 4.1): recursion desired, one question of type A, class IN.
local function question(identity, name)
    local labels = name:gsub("([^.]+)%.?", function(label)
        return string.char(#label) .. label
    end)
    return identity .. "\1\0\0\1\0\0\0\0\0\0" .. labels .. "\0\0\1\0\1"
end

-- Returns the first address among an answer's records, which begin at a position.
local function address_in(answer, position)
    while position <= #answer do
        -- A name is labels up to an empty one or up to a reference of two bytes.
        local length = answer:byte(position)
        while length and length > 0 and length < 192 do
            position = position + 1 + length
            length = answer:byte(position)
        end
        position = position + (length == 0 and 1 or 2)
        local high, low = answer:byte(position, position + 1)
        local size_high, size_low = answer:byte(position + 8, position + 9)
        if not size_low then
            return nil
        end
        local size = size_high * 256 + size_low
        position = position + 10 + size
        if high * 256 + low == TYPE_ADDRESS and size == LENGTH_ADDRESS and position - 1 <= #answer then
            return table.concat({ answer:byte(position - 4, position - 1) }, ".")
        end
    end
    return nil
end

-- Asks for one name; keeps what was known where there is no answer, or none with an address.
local function look_up(name)
    local socket = ngx.socket.udp()
    socket:settimeout(PATIENCE)
    if not socket:setpeername(NAME_SERVER, PORT) then
        return
    end
    local identity = string.char(math.random(0, 255), math.random(0, 255))
    local asked = question(identity, name)
    local answer = socket:send(asked) and socket:receive()
    socket:close()
    local address = answer and answer:sub(1, 2) == identity and address_in(answer, #asked + 1)
    if address then
        known:set(name, address)
    end
end

-- Keeps the addresses of names: asks for all of them now, and every so many seconds. To be called by every worker.
function addresses.keep(names, interval)
    if ngx.worker.id() ~= 0 then
        return
    end
    local function refresh(premature)
        if premature then
            return
        end
        -- At the same time: one that nobody answers for holds up no other.
        for _, name in ipairs(names) do
            ngx.thread.spawn(look_up, name)
        end
    end
    assert(ngx.timer.at(0, refresh))
    assert(ngx.timer.every(interval, refresh))
end

-- Returns NAME:PORT with the name's address in place of the name; as it is where none is known yet, for the resolver.
function addresses.upstream(server)
    local name, port = server:match("^(.+):(%d+)$")
    local address = name and known:get(name)
    return address and address .. ":" .. port or server
end

return addresses
