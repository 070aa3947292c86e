/* ini-config: what an edit leaves alone, what it writes and what it refuses, in each flavour. */
#include "driver_try.h"
#include "unit.h"

extern const struct unit_test ini_random_tests[]; /* driver_ini_random.c */

#define FLAVOUR(name)                                                                                        \
	do {                                                                                                 \
		static const struct fleet_option flavour_option[] = {{"flavour", name}};                     \
		try_options(flavour_option, 1);                                                              \
	} while (0)

static void test_read(void)
{
	try_options(NULL, 0);
	try_reads("", "");
	try_reads("\xef\xbb\xbf; c\r\n\r\nk=v\r\n", "k=v");
	try_reads("top = 1\n[a.b]\nk.x : 2\n[ c ]\n  k = \n[a.b]\nl=3",
		"top=1\na\\.b.k\\.x=2\n c .k=\na\\.b.l=3");
	try_reads("[s]\nk = 1\nk = 2\nj = x\n[t]\nk = 3\n[s]\nk = 4\n",
		"s.k[0]=1\ns.k[1]=2\ns.j=x\nt.k=3\ns.k[2]=4");
	try_reads("[s]\na = x ; c\nb = x;c\nc = x # c\nd = a#b\ne = ; c\nf =;c\ng = \"x ; y\" ; c\nh = "
		  "'it' # c\n",
		"s.a=x\ns.b=x;c\ns.c=x\ns.d=a#b\ns.e=\ns.f=;c\ns.g=x ; y\ns.h=it");
	try_reads("[s]\na = \"x\" y\nb = \"x\", \"y\"\nc = \"\nd = \"\"\ne = don't ; c\n",
		"s.a=\"x\" y\ns.b=\"x\", \"y\"\ns.c=\"\ns.d=\ns.e=don't");
	try_reads("[s]\nk = a\n  b\n\n  # c\n\tc ; d\n\n; e\nl = \n  x\n", "s.k=a\nb\n\nc\ns.l=\nx");
	try_reads("[s]\n  k = a\n  l = b\n    c = d\n", "s.k=a\ns.l=b\nc = d");
	try_reads("[s] ; note\nskip-networking\nflag # why\n!includedir /etc/x.d\n",
		"s.skip-networking=\ns.flag=");
	try_reads("[a[0]]\nx[1] = 2\n", "a\\[0].x\\[1]=2");
}

static void test_read_in_other_flavours(void)
{
	FLAVOUR("systemd");
	try_reads("[Journal]\nA=x \\\n# no\n  y\\\nz ; k\nB=\"q\"\n#C=1\n",
		"Journal.A=x y z ; k\nJournal.B=\"q\"");
	try_reads("[S]\nA=x \\\n\nB=\\\n# c\n  y\n", "S.A=x\nS.B=y");
	FLAVOUR("php");
	try_reads("[PHP]\na = on;c\n#b = 1\nc = \"x;\\\"\\\\y\" ; d\nd = 'a\\b;'\ne[] = 1\ne[] = "
		  "2\nf\ng=it's\n",
		"PHP.a=on\nPHP.#b=1\nPHP.c=x;\"\\y\nPHP.d=a\\b;\nPHP.e\\[][0]=1\nPHP.e\\[][1]=2\nPHP.f=\nPHP."
		"g=it's");
	try_reads("[www]\npm = dynamic\npm.max_children = 5\nphp_admin_value[error_log] = /x\n",
		"www.pm=dynamic\nwww.pm\\.max_children=5\nwww.php_admin_value\\[error_log]=/x");
	FLAVOUR("mysql");
	try_reads("[mysqld]\nskip-networking\nbind-address = 127.0.0.1 # "
		  "c\nbind_address=::1\npw=\"a#\\\"b\\n\"\n"
		  "x = a\\sb\\q\n!includedir /etc/mysql/conf.d/\ny='a\"b'#c\nz=a:b\nquick#c\n",
		"mysqld.skip-networking=\nmysqld.bind-address[0]=127.0.0.1\nmysqld.bind-address[1]=::1\n"
		"mysqld.pw=a#\"b\n\nmysqld.x=a b\\q\nmysqld.y=a\"b\nmysqld.z=a:b\nmysqld.quick=");
	FLAVOUR("windows");
	try_reads("[S]\nKey=\"C:\\a\\\"\nkey='b' ; no\n#x=1\n[s]\nKEY=c:d\n",
		"S.Key[0]=C:\\a\\\nS.Key[1]='b' ; no\nS.#x=1\nS.Key[2]=c:d");
}

static void test_options(void)
{
	static const struct fleet_option some[] = {{"continuation", "backslash"}, {"inline_comments", "no"},
		{"bare_keys", "no"}, {"delimiters", ":"}, {"case", "insensitive"}, {"else", "ignored"}};
	static const struct fleet_option wrong[] = {{"flavour", "toml"}};
	struct fleet_driver_error err;

	try_options(some, FLEET_ARRAY_LEN(some));
	try_reads("[s]\na=b: c ; d\\\n e\nA=B: 2\n", "s.a=b[0]=c ; d e\ns.a=b[1]=2");
	CU_ASSERT_EQUAL(try_check("bare\n", 5, &err), -EINVAL);
	try_options(wrong, 1);
	CU_ASSERT_EQUAL(try_check("", 0, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message,
		"the option flavour is one of generic, systemd, php, mysql, windows, not 'toml'");
	CU_ASSERT_EQUAL(try_read("", 0, NULL, &err), -EINVAL);
	try_options(NULL, 0);
}

static void test_set_changes_the_value_only(void)
{
	static const struct try_example list[] = {
		{"[s]\nk = 1 ; c\nl=2\n", "s.k=22", "[s]\nk = 22 ; c\nl=2\n"},
		{"[s]\r\nk\t:  1\r\nl=2", "s.l=x y", "[s]\r\nk\t:  1\r\nl=x y"},
		{"\xef\xbb\xbfk=1\r\n[s]\nk=2\n", "k=3", "\xef\xbb\xbfk=3\r\n[s]\nk=2\n"},
		{"[s]\nk = \"a\" # c\n", "s.k= b ; #", "[s]\nk = \" b ; #\" # c\n"},
		{"[s]\nk = 'a'\n", "s.k=it is \"b\"", "[s]\nk = 'it is \"b\"'\n"},
		{"[s]\nk =\n", "s.k=v", "[s]\nk = v\n"},
		{"[s]\nk=\n", "s.k=v", "[s]\nk=v\n"},
		{"[s]\nk = ; c\n", "s.k=v", "[s]\nk = v ; c\n"},
		{"[s]\nk = v ; c\n", "s.k=", "[s]\nk =  ; c\n"},
		{"[s]\na: 1\nflag\n", "s.flag=v", "[s]\na: 1\nflag: v\n"},
		{"[s]\nflag # c\n", "s.flag=v", "[s]\nflag = v # c\n"},
		{"[s]\nk = a\n  b\n\n  c\nl = 1\n", "s.k=x", "[s]\nk = x\nl = 1\n"},
		{"[s]\nk = 1\nk = 2\n[s]\nk = 3\n", "s.k[1]=x", "[s]\nk = 1\nk = x\n[s]\nk = 3\n"},
		{"[s]\nk = 1\nk = 2\n[s]\nk = 3\n", "s.k=x", "[s]\n[s]\nk = x\n"},
		{"[s]\nk = 1\nk = 2", "s.k=2", "[s]\nk = 2"},
		{"[s]\nk = 1\n", "s.k[0]=2", "[s]\nk = 2\n"},
		{"[a.b]\nc.d = 1\n", "a\\.b.c\\.d=2", "[a.b]\nc.d = 2\n"},
		{"[s]\nk = 1\n", "s.k=a=b:c", "[s]\nk = a=b:c\n"},
		{"[s]\nk = 1\n", "s.k=a#b;c", "[s]\nk = a#b;c\n"},
		{"[s]\nk = 1\n", "s.k=\xc3\xa9\t\xe2\x82\xac", "[s]\nk = \xc3\xa9\t\xe2\x82\xac\n"},
		/* what it is already */
		{"[s]\nk = a\n  b # c\n", "s.k=a\nb", "[s]\nk = a\n  b # c\n"},
		{"[s]\nk = 'a'\n", "s.k=a", "[s]\nk = 'a'\n"},
		{"[s]\nflag\n", "s.flag=", "[s]\nflag\n"},
		{0},
	};

	try_options(NULL, 0);
	try_examples(list);
}

static void test_a_new_key_goes_beside_its_siblings(void)
{
	static const struct try_example list[] = {
		{"[s]\na=1\n\n; of t\n[t]\nb=2\n", "s.c=3", "[s]\na=1\nc=3\n\n; of t\n[t]\nb=2\n"},
		{"[s]\na = 1\n\n#b = 5\n# text\n\n[t]\n", "s.b=2",
			"[s]\na = 1\n\n#b = 5\nb = 2\n# text\n\n[t]\n"},
		{"[s]\r\n;b=5\r\na = 1\r\n", "s.b=2", "[s]\r\n;b=5\r\nb=2\r\na = 1\r\n"},
		{"[global]\n   workgroup = W\n;   logon path = X\n", "global.logon path=Y",
			"[global]\n   workgroup = W\n;   logon path = X\n   logon path = Y\n"},
		{"[s]\na = 1\n;b = 5\n[t]\n;b = 6\n", "t.b=7", "[s]\na = 1\n;b = 5\n[t]\n;b = 6\nb = 7\n"},
		{"[s]\n; b = \"x\"\n", "s.b=y z", "[s]\n; b = \"x\"\nb = \"y z\"\n"},
		{"[s]\n# note: text\na: 1\n", "s.note=2", "[s]\n# note: text\nnote: 2\na: 1\n"},
		{"[s]\na=1", "s.b=2", "[s]\na=1\nb=2"},
		{"[s]\r\na=1", "s.b=2", "[s]\r\na=1\r\nb=2"},
		{"[s]\n\n[t]\nx = 1\n", "s.b=2", "[s]\nb = 2\n\n[t]\nx = 1\n"},
		{"[s]\n#Storage=auto\n#Compress=yes\n\n# more\n", "s.New=2",
			"[s]\n#Storage=auto\n#Compress=yes\nNew = 2\n\n# more\n"},
		{"[s]\nk = a\n  b\n\nl = 2\n", "s.m=3", "[s]\nk = a\n  b\n\nl = 2\nm = 3\n"},
		{"[s]\nk = a\n  b\n", "s.m=3", "[s]\nk = a\n  b\nm = 3\n"},
		{"[s]\nk\t= 1\n", "s.m=", "[s]\nk\t= 1\nm\t=\n"},
		{"[s]\nuser      = a\npid-file  = b\n", "s.port=1",
			"[s]\nuser      = a\npid-file  = b\nport      = 1\n"},
		{"[s]\nuser      = a\npid-file  = b\n", "s.a-longer-one=1",
			"[s]\nuser      = a\npid-file  = b\na-longer-one = 1\n"},
		{"[s]\na = \"1\"\n", "s.b=2", "[s]\na = \"1\"\nb = \"2\"\n"},
		{"[s]\na = 1\n[s]\nb = 2\n[t]\n", "s.c=3", "[s]\na = 1\n[s]\nb = 2\nc = 3\n[t]\n"},
		{"[s]\na = 1\n", "s.a[+]=2", "[s]\na = 1\na = 2\n"},
		{"[s]\na = 1\nb = 2\n", "s.a[+]=3", "[s]\na = 1\na = 3\nb = 2\n"},
		{"[s]\nb = 2\n", "s.a[+]=3", "[s]\nb = 2\na = 3\n"},
		/* sections */
		{"[s]\na=1\n", "t.b=2", "[s]\na=1\n\n[t]\nb=2\n"},
		{"[s]\na=1\n\n", "t.b=2", "[s]\na=1\n\n[t]\nb=2\n"},
		{"[s]\r\na=1", "t.b=2", "[s]\r\na=1\r\n\r\n[t]\r\nb=2"},
		{"", "t.b=2", "[t]\nb = 2\n"},
		{"# c", "a\\.b.c=2", "# c\n\n[a.b]\nc = 2"},
		{"[s]\n   a = 1\n", "t.b=2", "[s]\n   a = 1\n\n[t]\n   b = 2\n"},
		/* before all sections */
		{"", "b=2", "b = 2\n"},
		{"# c\n", "b=2", "# c\nb = 2\n"},
		{"a=1\n[s]\n", "b=2", "a=1\nb=2\n[s]\n"},
		{"# about\n\n# s\n[s]\nx=1\n", "b=2", "# about\nb=2\n\n# s\n[s]\nx=1\n"},
		{"# about\n[s]\nx=1\n", "b=2", "# about\nb=2\n[s]\nx=1\n"},
		{"\xef\xbb\xbf[s]\nx=1\n", "b=2",
			"\xef\xbb\xbf"
			"b=2\n[s]\nx=1\n"},
		{"\xef\xbb\xbf", "b=2",
			"\xef\xbb\xbf"
			"b = 2\n"},
		{"#b = 1\n[s]\nx=1\n", "b=2", "#b = 1\nb = 2\n[s]\nx=1\n"},
		{0},
	};

	try_options(NULL, 0);
	try_examples(list);
}

static void test_unset_takes_its_lines(void)
{
	static const struct try_example list[] = {
		{"[s]\n# c\na=1 ; d\nb=2\n", "s.a", "[s]\n# c\nb=2\n"},
		{"[s]\na = 1\n  2\n\n  3\n\nb=2\n", "s.a", "[s]\n\nb=2\n"},
		{"[s]\r\na=1\r\nb=2", "s.b", "[s]\r\na=1"},
		{"[s]\na=1\n", "s.a", "[s]\n"},
		{"a=1", "a", ""},
		{"[s]\na=1\nb=2\na=3\n", "s.a", "[s]\nb=2\n"},
		{"[s]\na=1\nb=2\na=3\n", "s.a[0]", "[s]\nb=2\na=3\n"},
		{"[s]\nflag\nb=2\n", "s.flag", "[s]\nb=2\n"},
		{"[s]\na=1\n", "s.b", "[s]\na=1\n"},
		{"[s]\na=1\n", "t.b", "[s]\na=1\n"},
		{"[s]\na=1\n", "t.b.c", "[s]\na=1\n"},
		{"[s]\na=1\n", "s.b[4]", "[s]\na=1\n"},
		{"[s]\na=1\n\n[t]\nb=2\n# end\n\n# of u\n[u]\nc=3\n", "t",
			"[s]\na=1\n\n# end\n\n# of u\n[u]\nc=3\n"},
		{"[s]\na=1\n\n[t]\nb=2\n\n[u]\nc=3\n", "t", "[s]\na=1\n\n[u]\nc=3\n"},
		{"[s]\na=1\n\n[t]\nb=2\n", "t", "[s]\na=1\n"},
		{"[s]\na=1\n\n[t]\nb=2", "t", "[s]\na=1"},
		{"[s]\na=1\n!include x\nb=2\n[t]\nc=3\n", "s", "!include x\n[t]\nc=3\n"},
		{0},
	};

	try_options(NULL, 0);
	try_examples(list);
}

static void test_examples_of_php(void)
{
	static const struct try_example list[] = {
		{"[PHP]\n; memory_limit\n;memory_limit = 64M\na = 1\n", "PHP.memory_limit=128M",
			"[PHP]\n; memory_limit\n;memory_limit = 64M\nmemory_limit = 128M\na = 1\n"},
		{"[PHP]\na = x;c\n", "PHP.a=/var/log/x", "[PHP]\na = /var/log/x;c\n"},
		{"[PHP]\na = x\n", "PHP.a=E_ALL & ~E_NOTICE", "[PHP]\na = \"E_ALL & ~E_NOTICE\"\n"},
		{"[PHP]\na = x\n", "PHP.a=a;b", "[PHP]\na = \"a;b\"\n"},
		{"[PHP]\na = x\n", "PHP.a=C:\\d \"q\"", "[PHP]\na = \"C:\\\\d \\\"q\\\"\"\n"},
		{"[PHP]\na = x\n", "PHP.a=${HOME}", "[PHP]\na = '${HOME}'\n"},
		{"[www]\npm = dynamic\npm.max_children = 5\n", "www.pm=static",
			"[www]\npm = static\npm.max_children = 5\n"},
		{"[www]\npm = dynamic\n;pm.max_requests = 500\n", "www.pm\\.max_requests=9",
			"[www]\npm = dynamic\n;pm.max_requests = 500\npm.max_requests = 9\n"},
		{"[PHP]\nextension=a\n", "PHP.extension[+]=b", "[PHP]\nextension=a\nextension=b\n"},
		{0},
	};
	static const struct try_refusal refused[] = {
		{"[PHP]\na = x\n", "PHP.a=${X}'", "both ${ and a single quote"},
		{"[PHP]\na = x\n", "PHP.a=x\ny", "line break"},
		{0},
	};

	FLAVOUR("php");
	try_examples(list);
	try_refusals(refused);
}

static void test_examples_of_mysql(void)
{
	static const struct try_example list[] = {
		{"[mysqld]\nskip-networking\nbind-address            = 127.0.0.1\n", "mysqld.bind-address=::",
			"[mysqld]\nskip-networking\nbind-address            = ::\n"},
		{"[mysqld]\n#skip-name-resolve\nport = 1\n", "mysqld.skip-name-resolve=",
			"[mysqld]\n#skip-name-resolve\nskip-name-resolve\nport = 1\n"},
		{"[mysqld]\npw = x # c\n", "mysqld.pw=a#b", "[mysqld]\npw = \"a#b\" # c\n"},
		{"[mysqld]\npw = x\n", "mysqld.pw=it's \"a\\b\"", "[mysqld]\npw = \"it's \\\"a\\\\b\\\"\"\n"},
		{"[mysqld]\npw = x\n", "mysqld.pw=a\nport=2\t", "[mysqld]\npw = a\\nport=2\\t\n"},
		{"[mysqld]\npw = x\n", "mysqld.pw= a ", "[mysqld]\npw = \" a \"\n"},
		{"[mysqld]\na=1\n!includedir /x/\n", "mysqld.b=2", "[mysqld]\na=1\nb=2\n!includedir /x/\n"},
		/* on, and not off as `skip-networking =` would have it; and a-b is a_b, in comments too */
		{"[mysqld]\nport = 1\n", "mysqld.skip-networking=", "[mysqld]\nport = 1\nskip-networking\n"},
		{"[mysqld]\nport = 1\n", "client.quick=", "[mysqld]\nport = 1\n\n[client]\nquick\n"},
		{"[mysqld]\n#max-packet = 1M\nport = 1\n", "mysqld.max_packet=2M",
			"[mysqld]\n#max-packet = 1M\nmax_packet = 2M\nport = 1\n"},
		{0},
	};
	static const struct try_refusal refused[] = {
		{"[mysqld]\nbind-address = x\n", "mysqld.bind_address=y", "'mysqld.bind-address'"},
		{"[mysqld]\na = x\n", "mysqld.a=\x01", "control character"},
		{0},
	};

	FLAVOUR("mysql");
	try_examples(list);
	try_refusals(refused);
}

#define E10 "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"

static void test_examples_of_windows_and_systemd(void)
{
	/* the sentence is cut between two characters */
	static const struct try_refusal long_name[] = {
		{"[k" E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 "]\na=1\n",
			"K" E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 ".a=2", "use this spelling"},
		{"[kk" E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 "]\na=1\n",
			"KK" E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 ".a=2", "use this spelling"},
		{0},
	};
	static const struct try_example windows[] = {
		{"[S]\r\nPath=C:\\a\r\n", "S.Path=D:\\b c\\", "[S]\r\nPath=D:\\b c\\\r\n"},
		{"[S]\r\nPath=C:\\a\r\n", "S.Path= x", "[S]\r\nPath=\" x\"\r\n"},
		{"[S]\r\nPath=C:\\a\r\n", "S.Path=\"x\"", "[S]\r\nPath=\"\"x\"\"\r\n"},
		{"[S]\r\nPath=a\r\n", "S.Path=a ; b # c", "[S]\r\nPath=a ; b # c\r\n"},
		{0},
	};
	static const struct try_refusal case_rule[] = {
		{"[S]\nPath=a\n", "S.path=b", "has that name as 'S.Path'"},
		{"[S]\nPath=a\n", "s.Path=b", "has that name as 'S'"},
		{"[S]\nPath=a\n", "s.Other=b", "has that name as 'S'"},
		{"[S]\nPath=a\n", "s", "spells"},
		{"[S]\nPath=a\nPATH=b\n", "S.Path[0]", "several spellings"},
		{"[S]\nPath=a\nPATH=b\n", "S.Path=c", "several spellings"},
		{0},
	};
	static const struct try_example systemd[] = {
		{"[Journal]\n#Storage=auto\n#Compress=yes\n", "Journal.Storage=persistent",
			"[Journal]\n#Storage=auto\nStorage=persistent\n#Compress=yes\n"},
		{"[J]\nA=x \\\n  y\nB=1\n", "J.A=z", "[J]\nA=z\nB=1\n"},
		{"[J]\nA=x\n", "J.A=\"a b\" ; c # d", "[J]\nA=\"a b\" ; c # d\n"},
		{"[J]\nA=x\n", "J.B=1", "[J]\nA=x\nB=1\n"},
		{"", "J.B=1", "[J]\nB=1\n"},
		{0},
	};
	static const struct try_refusal backslash[] = {
		{"[J]\nA=x\nB=1\n", "J.A=x\\", "ends in a backslash"},
		{"[J]\nA=x \\\n# why\n  y\n", "J.A=z", "comments stand between"},
		{0},
	};

	FLAVOUR("windows");
	try_examples(windows);
	try_refusals(long_name);
	try_refusals(case_rule);
	FLAVOUR("systemd");
	try_examples(systemd);
	try_refusals(backslash);
}

static void test_what_would_not_read_back_is_refused(void)
{
	static const struct try_refusal list[] = {
		{"[s]\nk = 1\n", "s.k=a\nb = 2", "line break"},
		{"[s]\nk = 1\n", "s.k=a\r", "control character"},
		{"[s]\nk = 1\n", "s.k=\x7f", "control character"},
		{"[s]\nk = 1\n", "s.k=\xff", "not UTF-8"},
		{"[s]\nk = 1\n", "s.k= a", "begins or ends with a blank"},
		{"[s]\nk = 1\n", "s.k=a\t", "begins or ends with a blank"},
		{"[s]\nk = 1\n", "s.k=a ;b", "would be read as a comment"},
		{"[s]\nk = 1\n", "s.k=# a", "would be read as a comment"},
		{"[s]\nk = 1\n", "s.k=\"a\"", "quotes, which would be taken off"},
		{"[s]\nk = \"1\"\n", "s.k=a\"b", "the quote in it"},
		{"[s]\nk = 1\n", "s.a:b=2", "separates key and value"},
		{"[s]\nk = 1\n", "s.#b=2", "begins as a comment"},
		{"[s]\nk = 1\n", "s.\\[b=2", "begins as a comment or a section"},
		{"[s]\nk = 1\n", "s. b=2", "begins or ends with a blank"},
		{"[s]\nk = 1\n", "s.\\e=2", "is empty"},
		{"[s]\nk = 1\n", "\\e.x=2", "is empty"},
		{"[s]\nk = 1\n", "t].x=2", "has a ] in it"},
		{"[s]\nk = 1\n", "t\n[u.x=2", "key path"},
		{"[s]\nk = 1\n", "t\nu.x=2", "control character"},
		{"[s]\nk = 1\n", "s.a ;b=2", "read back"},
		{"[s]\nk = 1\n", "s.k.x=2", "nothing deeper"},
		{"[s]\nk = 1\n", "s.k[1]=2", "so many times"},
		{"[s]\nk = 1\n", "s.k[1]", "so many times"},
		{"[s]\nk = 1\n", "s.j[0]=2", "so many times"},
		{"[s]\nk = 1\n", "s=2", "this same name"},
		{"s = 1\n", "s.k=2", "this same name"},
		{"[s]\nk = 1 ; c\n  2\n", "s.k=2", "comments stand between"},
		{"[s]\nk = 1\n; c\n  2\n", "s.k=2", "comments stand between"},
		{"[s]\nflag\n  x = 1\n", "s.flag=2", "read back"},
		{"[s]\nk = 1\nflag\n  x = 1\n", "s.flag", "read back"},
		{0},
	};

	try_options(NULL, 0);
	try_refusals(list);
}

static void test_what_is_no_ini(void)
{
	static const struct try_fault list[] = {
		{"[s]\nsome words here\n", 2, 1, "expected key = value"},
		{"[s\nk=1\n", 1, 1, "a section without ]"},
		{" [s] x\n", 1, 2, "something stands behind"},
		{"[]\n", 1, 1, "without a name"},
		{"a=1\n  = 2\n[s]\n = 2\n", 4, 2, "a name is missing"},
		{"a=1\rb=2\n", 1, 4, "carriage return"},
		{"a=1\n\xff=2\n", 2, 1, "not UTF-8"},
		{"a=1\nb=x\xc3\n", 2, 4, "not UTF-8"},
		{"\xef\xbb\xbfsome words\n", 1, 1, "expected key = value"},
		{"\xff\xfe[s]", 1, 1, "UTF-16"},
		{0},
	};
	static const struct try_fault php[] = {
		{"a = 1\nb = \"x\ny\"\n", 2, 5, "double quote without end"}, {0}};
	struct fleet_driver_error err;

	try_options(NULL, 0);
	try_faults(list);
	CU_ASSERT_EQUAL(try_check("a=1\nb=\0\n", 8, &err), -EINVAL);
	CU_ASSERT_EQUAL(err.line, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "NUL"));
	CU_ASSERT_EQUAL(try_check("; caf\xe9\n", 7, &err), 0); /* a comment is nobody's value */
	FLAVOUR("php");
	try_faults(php);
}

static void test_several_edits_build_on_each_other(void)
{
	const char *before = "[s]\na = 1\n";
	struct fleet_edit edits[] = {try_edit_of("s.a[+]=2"), try_edit_of("s.a[+]=3"), try_edit_of("s.a[0]"),
		try_edit_of("s.a[1]=4"), try_edit_of("t.b=1"), try_edit_of("t.b"), try_edit_of("s.c=x")};
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	try_options(NULL, 0);
	CU_ASSERT_EQUAL_FATAL(try_edit(before, strlen(before), edits, FLEET_ARRAY_LEN(edits), &out, &err), 0);
	CU_ASSERT_STRING_EQUAL(out.data, "[s]\na = 2\na = 4\nc = x\n\n[t]\n");
	CU_ASSERT_TRUE(try_says_what_was_asked(
		before, strlen(before), out.data, out.len, edits, FLEET_ARRAY_LEN(edits)));
	fleet_buffer_done(&out);
}

static const struct unit_test ini_tests[] = {UNIT_TEST(test_read), UNIT_TEST(test_read_in_other_flavours),
	UNIT_TEST(test_options), UNIT_TEST(test_set_changes_the_value_only),
	UNIT_TEST(test_a_new_key_goes_beside_its_siblings), UNIT_TEST(test_unset_takes_its_lines),
	UNIT_TEST(test_examples_of_php), UNIT_TEST(test_examples_of_mysql),
	UNIT_TEST(test_examples_of_windows_and_systemd), UNIT_TEST(test_what_would_not_read_back_is_refused),
	UNIT_TEST(test_what_is_no_ini), UNIT_TEST(test_several_edits_build_on_each_other), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"ini-config", ini_tests}, {"ini-config at random", ini_random_tests}, {0}});
}
