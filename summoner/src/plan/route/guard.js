// Who is locked out, by the list beside this configuration: one `KEY UNTIL LEVEL` a line. Written by Summoner.
// The list is read again whenever it changed, by one worker, into memory that all workers share; so neither a ban nor its
// end needs a reload, and a restarted nginx knows them without anybody telling it.
import fs from 'fs';

const LIST = '@LIST@';
const MOST = 20000;
const STAMP = 'stamp';

// One subscriber: an IPv4 address, or the /64 of an IPv6 address.
function client(r) {
    const hex = r.rawVariables.binary_remote_addr.toString('hex');
    if (hex.length === 8) {
        return hex;
    }
    return hex.startsWith('00000000000000000000ffff') ? hex.slice(24) : hex.slice(0, 16);
}

function entry(r) {
    const found = ngx.shared.summoner_bans.get(client(r));
    if (found === undefined) {
        return null;
    }
    const parts = found.split(' ');
    const left = Number(parts[0]) - Math.floor(Date.now() / 1000);
    return left > 0 ? { left: left, level: parts[1] } : null;
}

function level(r) {
    const found = entry(r);
    return found === null ? '' : found.level;
}

function left(r) {
    const found = entry(r);
    return found === null ? '' : String(found.left);
}

function read() {
    const bans = ngx.shared.summoner_bans;
    let stamp = 'none';
    let text = '';
    try {
        const found = fs.statSync(LIST);
        stamp = `${found.ino} ${found.mtimeMs} ${found.size}`;
        if (bans.get(STAMP) === stamp) {
            return;
        }
        text = fs.readFileSync(LIST, 'utf8');
    } catch (error) {
        if (bans.get(STAMP) === stamp) {
            return;
        }
    }
    const listed = {};
    text.split('\n').forEach((line) => {
        const parts = line.split(' ');
        if (parts.length === 3 && /^([0-9a-f]{8}|[0-9a-f]{16})$/.test(parts[0])) {
            listed[parts[0]] = true;
            bans.set(parts[0], parts[1] + ' ' + parts[2]);
        }
    });
    bans.keys(MOST).forEach((key) => {
        if (key !== STAMP && listed[key] === undefined) {
            bans.delete(key);
        }
    });
    bans.set(STAMP, stamp);
}

export default { client, level, left, read };
