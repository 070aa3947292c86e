/* Every bound on what comes from outside, with its default: one name, one place (DESIGN 9). Past it: a
 * clear error, nothing lost, nothing crashed. Sizes are bytes unless the name says else. */
#ifndef FLEET_LIMITS_H
#define FLEET_LIMITS_H

/* names and texts */
#define FLEET_ID_MAX           64 /* agentId, appId, driver name: [A-Za-z0-9][A-Za-z0-9._-]* */
#define FLEET_UUID_LEN         36
#define FLEET_HOSTNAME_LEN_MAX 253
#define FLEET_VERSION_LEN_MAX  128
#define FLEET_END_LEN_MAX      256 /* how a service came to its end, in words */
#define FLEET_PATH_LEN_MAX     4095
#define FLEET_URL_LEN_MAX      2048
#define FLEET_ACTOR_MAX        128
#define FLEET_TEXT_MAX         1000 /* one sentence for a person */
#define FLEET_LABELS_MAX       32

/* messages */
#define FLEET_MESSAGE_MAX           (1024u * 1024u) /* one hub message or host frame */
#define FLEET_JSON_DEPTH_MAX        32
#define FLEET_WS_BACKLOG_MAX        (8u * 1024u * 1024u) /* unsent bytes to one peer before it is dropped */
#define FLEET_WS_FRAGMENTS_MAX      4096                 /* of one message */
#define FLEET_COMMAND_JWS_MAX       (512u * 1024u)
#define FLEET_QUERY_ANSWER_MAX      (768u * 1024u) /* lines or settings, as JSON; the rest is counted */
#define FLEET_QUERY_TTL_S           60             /* servers' clocks differ */
#define FLEET_QUERIES_PER_AGENT_MAX 16             /* at a time */

/* HTTP */
#define FLEET_HTTP_HEADERS_MAX        (16u * 1024u)
#define FLEET_HTTP_BODY_MAX           (1024u * 1024u)
#define FLEET_HTTP_RESPONSE_MAX       (64u * 1024u * 1024u) /* what a client takes from its console */
#define FLEET_HTTP_TIMEOUT_S          30
#define FLEET_TLS_FILE_MAX            (1024u * 1024u) /* certificates, a key, authorities */
#define FLEET_TLS_SESSION_S           604800 /* for so long a session is resumed; TLS 1.3 has no longer */
#define FLEET_SSE_CLIENTS_MAX         512
#define FLEET_SSE_PER_KEY_MAX         64                    /* so that one key does not take all places */
#define FLEET_SSE_BACKLOG_ALL_MAX     (64u * 1024u * 1024u) /* unsent to all of them together */
#define FLEET_PREAUTH_PER_ADDRESS_MAX 64   /* slow connections of one address without a credential */
#define FLEET_PREAUTH_CONNECTIONS_MAX 1024 /* of one address, be they silent; more are closed */
#define FLEET_PREAUTH_ALL_MAX         8192 /* of all; the oldest goes */
#define FLEET_CONNECTIONS_PER_S       100  /* that one address may open in the long run */
#define FLEET_CONNECTIONS_BURST       2000 /* at once: a site's agents come back together */
#define FLEET_PAGE_DEFAULT            100
#define FLEET_PAGE_MAX                1000
#define FLEET_AUDIT_PAGE_DEFAULT      20

/* joining */
#define FLEET_CERTIFICATE_SKEW_S                                                                             \
	3600 /* a certificate holds since so long before it was made: clocks differ */
#define FLEET_CERTIFICATE_PEM_MAX       8192
#define FLEET_CERTIFICATE_LIFE_S        (90 * INT64_C(86400)) /* of an agent's; renewed after two thirds */
#define FLEET_AUTHORITIES_PEM_MAX       65536 /* what a console says its agents should trust */
#define FLEET_CREDENTIALS_PER_AGENT_MAX 4     /* the newest count */
#define FLEET_JOIN_TOKENS_MAX           1000  /* that have neither expired nor been revoked */
#define FLEET_JOIN_USES_MAX             1000
#define FLEET_JOIN_LIFE_DEFAULT_S       3600
#define FLEET_JOIN_LIFE_MAX_S           (30 * INT64_C(86400))
#define FLEET_REJOIN_LIFE_MAX_S         (30 * INT64_C(86400))
#define FLEET_JOINING_MAX               256 /* at a time */

/* fleet */
#define FLEET_AGENTS_MAX                  10000
#define FLEET_APPS_PER_AGENT_MAX          200
#define FLEET_DRIVERS_MAX                 64
#define FLEET_DISKS_MAX                   64
#define FLEET_COMMAND_TTL_S               600
#define FLEET_COMMANDS_OPEN_PER_AGENT_MAX 1000

/* who may use the console */
#define FLEET_API_KEYS_MAX        1000 /* that are not revoked */
#define FLEET_REVOKED_KEYS_KEEP   1000
#define FLEET_API_KEY_MAX         512 /* its text */
#define FLEET_KEY_LIMITS_MAX      32  /* patterns, and labels, that a key is limited to */
#define FLEET_KEY_LABEL_MAX       256
#define FLEET_KEY_OVERLAP_S_MAX   (7 * 86400) /* how long the secret before may stay good after a rotation */
#define FLEET_SESSIONS_MAX        1000        /* dashboards */
#define FLEET_SESSIONS_PER_KEY    16          /* one more ends the oldest */
#define FLEET_SESSION_S           43200       /* then the key is asked for again */
#define FLEET_LOGIN_TRIES         5           /* wrong keys from one address that cost nothing */
#define FLEET_LOGIN_WAIT_S_MAX    60          /* what further ones cost, doubling up to here */
#define FLEET_LOGIN_AGENT_WAIT_S  20          /* an agent's; it tries every 30 s, and hears why each time */
#define FLEET_LOGIN_MEMORY_S      900         /* after so long without one they are forgotten */
#define FLEET_LOGIN_ADDRESSES_MAX 4096        /* told apart; what comes from more counts together */
#define FLEET_LOGIN_AGENTS_APART  64          /* likewise: agentIds, claimed in vain from one address */
#define FLEET_LOGIN_AGENTS_MAX    4096        /* of all addresses */
#define FLEET_REFUSALS_PER_MINUTE 20          /* in the audit log; more are counted */
#define FLEET_ASKS_PER_S          100         /* without a key, from one address, in the long run */
#define FLEET_ASKS_BURST          1000

/* config pushes */
#define FLEET_SETTINGS_PER_PUSH_MAX 200
#define FLEET_KEY_PATH_MAX          1024
#define FLEET_VALUE_MAX             (64u * 1024u)
#define FLEET_VALUE_DEPTH_MAX       28 /* a signed command holds a value four levels deep */
#define FLEET_CONFIG_FILE_MAX       (1024u * 1024u)
#define FLEET_SETTINGS_PER_FILE_MAX 20000
#define FLEET_SNAPSHOT_MAX                                                                                   \
	(256u * 1024u) /* of the settings of a file as read, at the console; longer: the hash only */
#define FLEET_SNAPSHOTS_PER_FILE 50
#define FLEET_DIFF_MAX           (64u * 1024u) /* what a dry run shows; lines left out are counted */

/* what the agent asks of the network for the driver host */
#define FLEET_FETCH_S_MAX 86400 /* one artifact, all its attempts */
#define FLEET_PROBE_S_MAX 600

/* what root on the server asks of the driver host */
#define FLEET_HOLD_S_MAX      (30 * 86400)
#define FLEET_HOLD_REASON_MAX 200

/* the server's own files */
#define FLEET_YAML_FILE_MAX    (256u * 1024u)
#define FLEET_YAML_DEPTH_MAX   16
#define FLEET_YAML_NODES_MAX   10000
#define FLEET_YAML_ALIASES_MAX 100
#define FLEET_ENV_FILE_MAX     (64u * 1024u)
#define FLEET_APP_FILES_MAX    100 /* *.yaml below apps.d */
#define FLEET_SPOOL_ROWS_MAX   100000
#define FLEET_LEDGER_DONE_KEEP 1000 /* finished commands remembered one by one */

/* releases of apps */
#define FLEET_ARTIFACT_MAX         (INT64_C(4) * 1024 * 1024 * 1024)
#define FLEET_ARTIFACT_PART_MAX    FLEET_HTTP_BODY_MAX /* a file comes to the console in parts */
#define FLEET_ARTIFACTS_MAX        10000               /* registered at one console */
#define FLEET_UPLOADS_MAX          16                  /* at a time */
#define FLEET_UPLOAD_IDLE_S        300
#define FLEET_ARTIFACT_FETCH_S     3600 /* the download, cuts and waits included */
#define FLEET_ARCHIVE_ENTRIES_MAX  200000
#define FLEET_ARCHIVE_UNPACKED_MAX (INT64_C(16) * 1024 * 1024 * 1024)
#define FLEET_ARCHIVE_RATIO_MAX    200 /* unpacked to packed bytes, beyond the slack */
#define FLEET_ARCHIVE_RATIO_SLACK  (INT64_C(64) * 1024 * 1024)
#define FLEET_ARCHIVE_DEPTH_MAX    64 /* directories one in another */
#define FLEET_ARCHIVE_UNPACK_S     900
#define FLEET_SIGNATURE_MAX        4096
#define FLEET_TRUSTED_KEYS_MAX     64

/* drivers */
#define FLEET_DRIVER_OUTPUT_MAX    (4u * 1024u * 1024u)
#define FLEET_DRIVER_LOG_LINES_MAX 200
#define FLEET_LOG_LINES_DEFAULT    50
#define FLEET_DRIVER_CALL_MS       10000 /* a format call, a status */
#define FLEET_FAILURE_LOG_LINES    20
#define FLEET_FAILURE_LOG_BYTES    (16u * 1024u)

#endif
