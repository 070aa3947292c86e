#include "console/store_schema.h"
#include "fleet/base.h"

/* The chain's rows are only ever added, one after the other: the triggers hold that against mistakes, the
 * chain shows what somebody did who has dropped the triggers. */
static const char version_1[] =
	"CREATE TABLE audit ("
	"  seq INTEGER PRIMARY KEY,"
	"  event_id TEXT NOT NULL UNIQUE,"
	"  timestamp_ms INTEGER NOT NULL,"
	"  category TEXT NOT NULL,"
	"  agent_id TEXT, app_id TEXT, command_id TEXT, actor TEXT, source_address TEXT,"
	"  message TEXT,"
	"  details TEXT,"
	"  spool_id TEXT, spool_seq INTEGER,"
	"  hash TEXT NOT NULL);"
	"CREATE UNIQUE INDEX audit_by_spool ON audit (agent_id, spool_id, spool_seq) WHERE spool_id IS NOT "
	"NULL;"
	"CREATE INDEX audit_by_agent ON audit (agent_id, seq);"
	"CREATE INDEX audit_by_command ON audit (command_id, seq) WHERE command_id IS NOT NULL;"
	"CREATE INDEX audit_by_actor ON audit (actor, seq) WHERE actor IS NOT NULL;"
	"CREATE INDEX audit_by_category ON audit (category, seq);"
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
	"  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
	"  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	"CREATE TRIGGER audit_in_order BEFORE INSERT ON audit"
	"  WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)"
	"  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	/* up to where each agent's own events are held without a gap */
	"CREATE TABLE spools ("
	"  agent_id TEXT NOT NULL, spool_id TEXT NOT NULL, held INTEGER NOT NULL,"
	"  PRIMARY KEY (agent_id, spool_id)) WITHOUT ROWID;"
	/* tail: the id backwards, so that its last digits can be looked up */
	"CREATE TABLE commands ("
	"  n INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  id TEXT NOT NULL UNIQUE, tail TEXT NOT NULL UNIQUE,"
	"  action TEXT NOT NULL, state TEXT NOT NULL,"
	"  agent_id TEXT NOT NULL, app_id TEXT NOT NULL, actor TEXT, source_address TEXT,"
	"  args TEXT, jws TEXT,"
	"  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, "
	"finished_ms INTEGER NOT NULL,"
	"  result TEXT, message TEXT);"
	"CREATE INDEX commands_by_agent ON commands (agent_id, n);"
	"CREATE INDEX commands_by_state ON commands (state, n);"
	"CREATE TABLE idempotency ("
	"  actor TEXT NOT NULL, key TEXT NOT NULL, command_id TEXT NOT NULL, created_ms INTEGER NOT NULL,"
	"  PRIMARY KEY (actor, key)) WITHOUT ROWID;"
	"CREATE INDEX idempotency_by_age ON idempotency (created_ms);"
	"CREATE TABLE agents (agent_id TEXT PRIMARY KEY, saved_ms INTEGER NOT NULL, agent TEXT NOT NULL) "
	"WITHOUT ROWID;"
	"CREATE TABLE heartbeats ("
	"  agent_id TEXT NOT NULL, at_ms INTEGER NOT NULL, metrics TEXT NOT NULL,"
	"  PRIMARY KEY (agent_id, at_ms)) WITHOUT ROWID;";

static const char version_2[] =
	"CREATE TABLE artifacts ("
	"  n INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  id TEXT NOT NULL UNIQUE,"
	"  app_id TEXT NOT NULL, version TEXT NOT NULL,"
	"  url TEXT, sha256 TEXT, signature TEXT," /* no url: the file artifacts/ID beside the database */
	"  bytes INTEGER NOT NULL, added_by TEXT, added_ms INTEGER NOT NULL,"
	"  UNIQUE (app_id, version));";

/* How the settings of a file were read each time that it had changed, secrets masked; and what the history
 * asks. */
static const char version_3[] = "CREATE TABLE snapshots ("
				"  n INTEGER PRIMARY KEY AUTOINCREMENT,"
				"  agent_id TEXT NOT NULL, app_id TEXT NOT NULL, file TEXT NOT NULL,"
				"  hash TEXT NOT NULL, at_ms INTEGER NOT NULL,"
				"  settings TEXT);"
				"CREATE INDEX snapshots_by_file ON snapshots (agent_id, app_id, file, n);"
				"CREATE INDEX commands_by_app ON commands (agent_id, app_id, n);"
				"CREATE INDEX audit_outside ON audit (agent_id, app_id, seq) WHERE category "
				"= 'config' AND command_id IS NULL;";

/* What each agent was last shown of the audit log; missing: not NULL where it is not there, how many entries.
 * And up to where rows that are gone were accepted as lost. */
static const char version_4[] =
	"CREATE TABLE witnesses ("
	"  agent_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL, said_ms INTEGER NOT NULL,"
	"  missing INTEGER) WITHOUT ROWID;"
	"CREATE TABLE audit_gaps (after_seq INTEGER NOT NULL, up_to_seq INTEGER NOT NULL, at_ms INTEGER NOT "
	"NULL);";

/* Who may use the REST API. A name is one living key's; a revoked one may give it to another. */
static const char version_5[] =
	"CREATE TABLE api_keys ("
	"  id TEXT PRIMARY KEY, name TEXT NOT NULL,"
	"  digest TEXT NOT NULL, old_digest TEXT, old_until_ms INTEGER NOT NULL,"
	"  role TEXT NOT NULL, limits TEXT, created_by TEXT,"
	"  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
	"  revoked_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE UNIQUE INDEX api_keys_by_name ON api_keys (name) WHERE revoked_ms = 0;";

/* Who has joined, by what agents prove who they are (keys and certificates: their digests), and tokens to
 * join with. */
static const char version_6[] =
	"CREATE TABLE members ("
	"  agent_id TEXT PRIMARY KEY, instance_id TEXT, token_id TEXT,"
	"  joined_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL, rejoin_until_ms INTEGER NOT NULL) "
	"WITHOUT "
	"ROWID;"
	"CREATE TABLE credentials ("
	"  id BLOB PRIMARY KEY, agent_id TEXT NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL,"
	"  issued_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX credentials_by_agent ON credentials (agent_id, issued_ms);"
	"CREATE TABLE join_tokens ("
	"  id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, agents TEXT,"
	"  uses INTEGER NOT NULL, uses_max INTEGER NOT NULL, created_by TEXT, created_ms INTEGER NOT NULL,"
	"  expires_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL) WITHOUT ROWID;";

const char *const store_migrations[] = {version_1, version_2, version_3, version_4, version_5, version_6};
const size_t store_migration_count = FLEET_ARRAY_LEN(store_migrations);
