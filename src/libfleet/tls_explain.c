/* Sentences for what goes wrong with certificates and handshakes. */
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>
#include <ctype.h>
#include "fleet/text.h"
#include "tls_internal.h"

#define NAMES_SHOWN 3

/* The CN of a name, else the whole of it. */
static void show_name(const X509_NAME *name, char *out, size_t len)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *text = NULL;

	if (at >= 0 &&
		ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))) >= 0) {
		(void)snprintf(out, len, "%s", (const char *)text); /* cut is fine */
		OPENSSL_free(text);
	} else if (!X509_NAME_oneline(name, out, (int)len)) {
		(void)snprintf(out, len, "?");
	}
	fleet_text_sanitize(out);
}

static void show_date(const ASN1_TIME *when, char *out, size_t len)
{
	struct tm tm = {0};

	if (ASN1_TIME_to_tm(when, &tm) != 1 || strftime(out, len, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(out, len, "an unknown time");
}

static void add_name(char *out, size_t len, const char *name)
{
	size_t used = strlen(out);

	(void)snprintf(out + used, len - used, "%s%s", used ? ", " : "", name); /* cut is fine */
}

static bool show_address(const ASN1_OCTET_STRING *address, char *out, size_t len)
{
	const unsigned char *b = ASN1_STRING_get0_data(address);
	int count = ASN1_STRING_length(address);

	if (count == 4)
		(void)snprintf(out, len, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	else if (count == 16)
		(void)snprintf(out, len, "%x:%x:%x:%x:%x:%x:%x:%x", b[0] << 8 | b[1], b[2] << 8 | b[3],
			b[4] << 8 | b[5], b[6] << 8 | b[7], b[8] << 8 | b[9], b[10] << 8 | b[11],
			b[12] << 8 | b[13], b[14] << 8 | b[15]);
	return count == 4 || count == 16;
}

/* Whom a certificate names, as verification looks at it: names and addresses of the extension, else the CN.
 */
static void show_subjects(X509 *certificate, char *out, size_t len)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int shown = 0, left_out = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		char text[256] = "";

		if (name->type == GEN_DNS)
			(void)snprintf(text, sizeof(text), "%.*s", ASN1_STRING_length(name->d.dNSName),
				(const char *)ASN1_STRING_get0_data(name->d.dNSName));
		else if (name->type != GEN_IPADD || !show_address(name->d.iPAddress, text, sizeof(text)))
			continue;
		if (shown == NAMES_SHOWN) {
			left_out++;
			continue;
		}
		add_name(out, len, text);
		shown++;
	}
	GENERAL_NAMES_free(names);
	if (!shown)
		show_name(X509_get_subject_name(certificate), out, len);
	if (left_out)
		add_name(out, len, "…");
	fleet_text_sanitize(out);
}

/* "the certificate of HOST", or which of those that lead to its authority. */
static void show_which(X509_STORE_CTX *store, const char *host, char *out, size_t len)
{
	char name[128];

	if (X509_STORE_CTX_get_error_depth(store) == 0 || !X509_STORE_CTX_get_current_cert(store)) {
		(void)snprintf(out, len, "the certificate of %s", host);
		return;
	}
	show_name(X509_get_subject_name(X509_STORE_CTX_get_current_cert(store)), name, sizeof(name));
	(void)snprintf(out, len, "the authority '%s', by which the certificate of %s is signed,", name, host);
}

static char *refuse_issuer(X509_STORE_CTX *store, const struct tls_conn *conn)
{
	X509 *last = X509_STORE_CTX_get_current_cert(store);
	char issuer[128] = "?";

	if (last)
		show_name(X509_get_issuer_name(last), issuer, sizeof(issuer));
	if (conn->ca_file)
		return xasprintf("the certificate of %s is signed by an authority ('%s') that is not "
				 "trusted: it is not "
				 "in %s (%s)",
			conn->host, issuer, conn->ca_file, conn->ca_setting);
	return xasprintf("the certificate of %s is signed by an authority ('%s') that is not trusted: name "
			 "the file with "
			 "its certificate in %s",
		conn->host, issuer, conn->ca_setting);
}

char *tls_refusal(X509_STORE_CTX *store, const struct tls_conn *conn)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store), *at = X509_STORE_CTX_get_current_cert(store);
	const int code = X509_STORE_CTX_get_error(store);
	char which[512], text[256];

	show_which(store, conn->host, which, sizeof(which));
	switch (code) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		show_subjects(leaf, text, sizeof(text));
		return xasprintf(
			"the certificate of %s is for %s: check the console's URL, or whether somebody else "
			"answers there",
			conn->host, text);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		show_date(X509_get0_notAfter(at), text, sizeof(text));
		return xasprintf("%s expired on %s: it has to be renewed at the console", which, text);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		show_date(X509_get0_notBefore(at), text, sizeof(text));
		return xasprintf("%s is not valid before %s: is this machine's clock right?", which, text);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return xasprintf("the certificate of %s is signed by nobody but itself, and not trusted: "
				 "where it is meant "
				 "to be so, name a file with it in %s",
			conn->host, conn->ca_setting);
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return refuse_issuer(store, conn);
	default:
		return xasprintf("%s is not taken: %s", which, X509_verify_cert_error_string(code));
	}
}

static const struct {
	int reason;
	const char *text;
} reasons[] = {
	{SSL_R_WRONG_VERSION_NUMBER, "what answers there does not speak TLS; is it http://?"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "it speaks no TLS newer than 1.1, which is not safe"},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "it takes no version of TLS that we have (1.2 and 1.3)"},
	{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "it has no way of encryption in common with us"},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING, "it closed the connection"},
};

void fleet_tls_explain(struct bufferevent *bev, int code, char *out, size_t len)
{
	const SSL *ssl = bufferevent_openssl_get_ssl(bev);
	const struct tls_conn *conn = ssl ? tls_conn_of(ssl) : NULL;
	const bool done = ssl && SSL_is_init_finished(ssl);
	const unsigned long error = ssl ? bufferevent_get_openssl_error(bev) : 0;
	const char *text = error ? ERR_reason_error_string(error) : NULL;
	char lower[256];

	for (size_t i = 0; error && i < FLEET_ARRAY_LEN(reasons); i++)
		if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == reasons[i].reason)
			text = reasons[i].text;
	if (!text) {
		(void)snprintf(
			lower, sizeof(lower), "%s", code ? strerror(code) : "it closed the connection");
		lower[0] = (char)tolower((unsigned char)lower[0]); /* it stands within a sentence */
		text = lower;
	}
	if (conn && conn->refused)
		(void)snprintf(out, len, "%s", conn->refused);
	else
		(void)snprintf(out, len, "%s%s",
			done && !error ? ""
			: done         ? "TLS: "
				       : "TLS handshake: ",
			text);
}
