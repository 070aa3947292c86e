/* Certificates, keys and authorities from files, with complaints that name the file and what to do. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509err.h>
#include <openssl/sslerr.h>
#include <openssl/pemerr.h>
#include <ctype.h>
#include "fleet/file.h"
#include "fleet/limits.h"
#include "tls_internal.h"

struct tls_stamp tls_stamp_of(const char *path)
{
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return (struct tls_stamp){0};
	return (struct tls_stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool tls_stamp_equal(const struct tls_stamp *a, const struct tls_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       is_same_time(&a->modified, &b->modified) && is_same_time(&a->changed, &b->changed);
}

const char *tls_error_text(char *out, size_t len)
{
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);

	if (reason)
		(void)snprintf(out, len, "%s", reason); /* cut is fine */
	else
		(void)snprintf(out, len, "error %lx of OpenSSL", code);
	ERR_clear_error();
	return out;
}

/* Nobody sits before a server: what OpenSSL would ask the terminal for is an error. */
static int no_passphrase(
	char *out FLEET_UNUSED, int size FLEET_UNUSED, int for_writing FLEET_UNUSED, void *arg)
{
	*(bool *)arg = true;
	return -1;
}

int tls_context_new(const SSL_METHOD *method, SSL_CTX **ret, struct fleet_error *err)
{
	/* Forward secrecy and authenticated encryption; the suites of 1.3 are all so. */
	static const char ciphers_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
	SSL_CTX *context = SSL_CTX_new(method);
	char why[256];

	if (!context || SSL_CTX_set_cipher_list(context, ciphers_1_2) != 1 ||
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(context);
		return fleet_error_set(
			err, -EIO, "TLS cannot be set up: %s", tls_error_text(why, sizeof(why)));
	}
	/* An idle connection gives its 34 KB of buffers back. Who leaves without a TLS goodbye is seen as one
	 * who leaves: HTTP and WebSocket have ends of their own, which tell a whole message from a cut one.
	 */
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_options(
		context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	*ret = context;
	return 0;
}

/* Reads it for the sake of the complaint: OpenSSL's own do not name files. */
static int check_readable(const char *what, const char *path, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = fleet_file_read(path, FLEET_TLS_FILE_MAX, &text, &len, err);

	if (text)
		explicit_bzero(text, len);
	return r < 0 ? fleet_error_wrap(err, "the %s", what) : 0;
}

static int explain_certificate(const char *path, struct fleet_error *err)
{
	unsigned long code = ERR_peek_error();
	char why[256];

	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return fleet_error_set(err, -EBADMSG,
			"the certificate file %s holds no certificate in PEM form (-----BEGIN "
			"CERTIFICATE-----); "
			"one in DER form becomes it with `openssl x509 -inform der`",
			path);
	}
	return fleet_error_set(err, -EBADMSG, "the certificate file %s cannot be used: %s", path,
		tls_error_text(why, sizeof(why)));
}

static int explain_key(const char *cert_file, const char *path, bool asked, struct fleet_error *err)
{
	unsigned long code = ERR_peek_last_error();
	char why[256];

	if (asked) {
		ERR_clear_error();
		return fleet_error_set(err, -EBADMSG,
			"the key file %s is protected by a passphrase, for which nobody can be asked here: "
			"write "
			"it without one (`openssl pkey -in OLD -out NEW`) and let its mode be 600",
			path);
	}
	if (ERR_GET_LIB(code) == ERR_LIB_X509 && (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
							 ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH)) {
		ERR_clear_error();
		return fleet_error_set(err, -EBADMSG,
			"the key in %s does not belong to the certificate in %s: they must be replaced "
			"together",
			path, cert_file);
	}
	return fleet_error_set(err, -EBADMSG,
		"the key file %s holds no private key in PEM form that can be used: %s", path,
		tls_error_text(why, sizeof(why)));
}

int tls_load_identity(SSL_CTX *context, const char *cert_file, const char *key_file, struct fleet_error *err)
{
	bool asked = false;
	int r = check_readable("certificate", cert_file, err);

	if (r >= 0)
		r = check_readable("certificate's key", key_file, err);
	if (r < 0)
		return r;
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
		r = explain_certificate(cert_file, err);
	else if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(context) != 1)
		r = explain_key(cert_file, key_file, asked, err);
	SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
	return r;
}

/* Are there certificates under the hashes of their names (`openssl rehash`)? Then each is read when it is
 * asked for. A bundle is read whole, and takes 1.5 MB that an agent does not have to give. */
static bool has_hashed_certificates(const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		size_t digits = strspn(name, "0123456789abcdef");

		if (digits == 8 && name[8] == '.' && isdigit((unsigned char)name[9]))
			return true;
	}
	return false;
}

int tls_load_authorities(SSL_CTX *context, const char *ca_file, struct fleet_error *err)
{
	char why[256];
	int r;

	ERR_clear_error();
	if (!ca_file) {
		r = has_hashed_certificates(X509_get_default_cert_dir())
			    ? SSL_CTX_set_default_verify_dir(context)
			    : SSL_CTX_set_default_verify_paths(context);
		return r == 1 ? 0
			      : fleet_error_set(err, -EIO,
					"the system's certificate authorities cannot be read: %s",
					tls_error_text(why, sizeof(why)));
	}
	r = check_readable("file of certificate authorities", ca_file, err);
	if (r < 0)
		return r;
	if (SSL_CTX_load_verify_file(context, ca_file) != 1)
		return fleet_error_set(err, -EBADMSG,
			"the file of certificate authorities %s holds no certificate in PEM form that can be "
			"used: %s",
			ca_file, tls_error_text(why, sizeof(why)));
	return 0;
}
