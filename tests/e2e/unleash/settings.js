// The options that start.js and migrate.js share.  Owns: the quiet defaults of a test (no TLS to
// the database, no log but errors, nothing sent home).  Refuses: to know a setting that the
// package reads from the environment itself (DATABASE_HOST, DATABASE_PASSWORD, ...).
'use strict';
process.noDeprecation = true; // of the libraries, which nobody here can change
process.env.TZ = 'UTC'; // the package's own start script sets it
process.env.CHECK_VERSION = 'false';
process.env.SEND_TELEMETRY = 'false'; // the option alone cannot say no

const version = require('unleash-server/package.json').version;

// Splits `words --name value` into {words, named}; an option that is not in `known` is an error.
function parse(argv, known) {
    const words = [];
    const named = {};
    for (let i = 0; i < argv.length; i++) {
        if (!argv[i].startsWith('--')) {
            words.push(argv[i]);
            continue;
        }
        const name = argv[i].slice(2);
        if (!known.includes(name) || i + 1 === argv.length) {
            throw new Error(`unknown option or no value: --${name} (known: ${known.join(', ')})`);
        }
        named[name] = argv[++i];
    }
    return { words, named };
}

// Options for the package.  An empty or missing --database leaves DATABASE_URL and DATABASE_* in
// charge.
function options(named) {
    const db = { disableMigration: true };
    if (!process.env.DATABASE_SSL) {
        db.ssl = false;
    }
    return {
        databaseUrl: named.database || undefined,
        db,
        versionCheck: { enable: false },
        telemetry: false,
    };
}

module.exports = { version, parse, options };
