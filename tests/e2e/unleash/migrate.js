// The migrator of the package that lies beside it.  Owns: calling it, under the advisory lock that
// the package's server takes around it (MIGRATION_LOCK=false leaves the lock out, as it does
// there), and saying what it did.  Refuses: SQL of its own that writes.
//
//   node migrate.js up                all pending migrations
//   node migrate.js down N            the newest N rows of the ledger
//   node migrate.js down-to COUNT     the newest rows until COUNT are left
//   node migrate.js count             prints the number of rows, nothing else
//
// Each start appends one line to the file that MIGRATOR_STARTS names.
'use strict';
const fs = require('fs');
const path = require('path');
const { version, parse, options } = require('./settings');

const USAGE = 'usage: migrate.js up | down N | down-to COUNT | count [--database URL]';
const dist = path.join(path.dirname(require.resolve('unleash-server/package.json')), 'dist');

async function ledger(db) {
    const { Client } = require('pg');
    const client = new Client(db);
    await client.connect();
    try {
        const table = `${client.escapeIdentifier(db.schema)}.migrations`;
        const found = await client.query('SELECT to_regclass($1) AS oid', [table]);
        if (found.rows[0].oid === null) {
            return [];
        }
        const rows = await client.query(`SELECT name FROM ${table} ORDER BY run_on, name`);
        return rows.rows.map((row) => row.name);
    } finally {
        await client.end();
    }
}

// The package exports up() and reset() only; this is its up() with another last call.
async function down(db, count) {
    const dbm = require('db-migrate').getInstance(true, {
        cwd: dist,
        config: { custom: { ...db, connectionTimeoutMillis: 10000 } },
        env: 'custom',
    });
    return dbm.down(count);
}

function wholeNumber(text) {
    if (!/^[0-9]{1,6}$/.test(text || '')) {
        throw new Error(USAGE);
    }
    return Number(text);
}

// The command's words as {verb, number}.
function command(words) {
    const counted = words[0] === 'down' || words[0] === 'down-to';
    if (!counted && words[0] !== 'up' && words[0] !== 'count') {
        throw new Error(USAGE);
    }
    if (words.length !== (counted ? 2 : 1)) {
        throw new Error(USAGE);
    }
    return { verb: words[0], number: counted ? wholeNumber(words[1]) : 0 };
}

// How many rows to take down from a ledger of `rows`.
function downCount({ verb, number }, rows) {
    const n = verb === 'down' ? number : rows - number;
    if (n < 0 || n > rows) {
        throw new Error(`${verb} ${number} is impossible with ${rows} rows in migrations`);
    }
    return n;
}

async function main() {
    const { words, named } = parse(process.argv.slice(2), ['database']);
    process.argv = process.argv.slice(0, 2); // db-migrate reads it too
    const asked = command(words);
    const { db } = require(path.join(dist, 'lib/create-config')).createConfig(options(named));
    const { migrateDb } = require(path.join(dist, 'migrator')); // sets the log level as well
    const { withDbLock, defaultLockKey } = require(path.join(dist, 'lib/util/db-lock'));
    const withLock = (call) =>
        process.env.MIGRATION_LOCK === 'false'
            ? call
            : withDbLock(db, {
                  lockKey: defaultLockKey,
                  timeout: 30 * 60 * 1000,
                  logger: { error() {} }, // main() says it once
              })(call);

    if (asked.verb === 'count') {
        console.log((await ledger(db)).length);
        return;
    }
    let before;
    await withLock(async () => {
        before = await ledger(db);
        const count = asked.verb === 'up' ? 0 : downCount(asked, before.length);
        if (asked.verb === 'up') {
            await migrateDb({ db });
        } else if (count > 0) {
            await down(db, count);
        }
    })();
    const after = await ledger(db);
    for (const name of after.filter((row) => !before.includes(row))) {
        console.log(`up   ${name}`);
    }
    for (const name of before.filter((row) => !after.includes(row)).reverse()) {
        console.log(`down ${name}`);
    }
    console.log(`unleash ${version}: ${before.length} -> ${after.length} rows in migrations`);
}

if (process.env.MIGRATOR_STARTS) {
    const words = process.argv.slice(2).filter((word) => !word.includes('://'));
    const line = `${new Date().toISOString()} ${process.pid} ${version} ${words.join(' ')}\n`;
    fs.appendFileSync(process.env.MIGRATOR_STARTS, line);
}
// The package's lock leaves a timer of half an hour behind: end the process by hand.
main().then(
    () => process.exit(0),
    (error) => {
        console.error(`unleash ${version} migrator failed: ${error.message || error}`);
        process.exit(1);
    },
);
