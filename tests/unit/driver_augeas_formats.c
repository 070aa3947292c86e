#include "driver_augeas_formats.h"

#define NGINX                                                                                                \
	"user  www-data;\n\n# events\nevents {\n    worker_connections 768;\n    # multi_accept on;\n}\n"    \
	"http {\n    server {\n        listen      80 default_server;\n        server_name a.example;   # "  \
	"main\n"                                                                                             \
	"        location / {\n            root /var/www;\n        }\n    }\n    server {\n"                 \
	"        listen 8080;\n        listen 8443 ssl;\n    }\n}\n"

const struct augeas_format augeas_formats[] = {
	{"Nginx.lns", NGINX,
		"user=www-data\nevents[0].worker_connections=768\nhttp[0].server[0].listen=80 "
		"default_server\n"
		"http[0].server[0].server_name=a.example\nhttp[0].server[0].location[0].#uri=/\n"
		"http[0].server[0].location[0].root=/var/www\nhttp[0].server[1].listen[0]=8080\n"
		"http[0].server[1].listen[1]=8443 ssl",
		{{"events[0].worker_connections=1024", "connections 768", "connections 1024"},
			{"http[0].server[0].listen=81", "listen      80 default_server", "listen      81"},
			{"http[0].server[0].location[0].#uri=/a", "location / {", "location /a {"},
			{"http[0].server[1].listen[1]", "        listen 8443 ssl;\n", ""},
			{"http[0].server[1].listen[+]=9", "ssl;\n", "ssl;\n        listen 9;\n"},
			{"events[0].multi_accept=off", "accept on;\n", "accept on;\n    multi_accept off;\n"},
			{"events[0].worker_connections", "    worker_connections 768;\n", ""},
			{"http[0].server[0].location[0]",
				"        location / {\n            root /var/www;\n        }\n", ""},
			{"http[0].server[+].listen=1;;http[0].server[2].server_name=b", "ssl;\n    }\n",
				"ssl;\n    }\n    server\n    {\n    listen 1;\n    server_name b;\n    }\n"},
			{"user=root;;http[0].server[1].listen[0];;http[0].gzip=on", NULL, NULL}},
		"user a;\nhttp {\n  listen 80\n}\n", 3, 3},
	{"Sshd.lns",
		"# ours\nInclude /etc/ssh/sshd_config.d/*.conf\n\n#Port 22\nPermitRootLogin   "
		"prohibit-password\n"
		"AcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/sftp-server\n\nMatch User backup\n"
		"\tPasswordAuthentication no\n",
		"Include=/etc/ssh/sshd_config.d/"
		"*.conf\nPermitRootLogin=prohibit-password\nAcceptEnv[0][0]=LANG\n"
		"AcceptEnv[0][1]=LC_*\nSubsystem[0].sftp=/usr/lib/"
		"sftp-server\nMatch[0].Condition[0].User=backup\n"
		"Match[0].Settings[0].PasswordAuthentication=no",
		{{"PermitRootLogin=no", "prohibit-password", "no"},
			{"Port=2222", "#Port 22\n", "#Port 22\nPort 2222\n"},
			{"UsePAM=yes", "password\n", "password\nUsePAM   yes\n"},
			{"AcceptEnv[0][+]=TZ", "LC_*", "LC_* TZ"}, {"AcceptEnv[0][0]", " LANG", ""},
			{"AcceptEnv[0][1];;AcceptEnv[0]=TZ", "LANG LC_*", "TZ"},
			{"Subsystem[0].sftp", "Subsystem\tsftp\t/usr/lib/sftp-server\n", ""},
			{"Match[0]", "Match User backup\n\tPasswordAuthentication no\n", ""},
			{"Match[0].Settings[0].X11Forwarding=no", "Authentication no\n",
				"Authentication no\n\tX11Forwarding no\n"}},
		"Port 22\n=\n", 2, 1},
	{"Hosts.lns", "127.0.0.1\tlocalhost\n# ours\n10.0.0.1  gw gateway # the way out\n",
		"[0].ipaddr=127.0.0.1\n[0].canonical=localhost\n[1].ipaddr=10.0.0.1\n[1].canonical=gw\n"
		"[1].alias=gateway",
		{{"[1].canonical=router", "gw", "router"}, {"[0].alias=lo", "localhost\n", "localhost lo\n"},
			{"[1].alias[+]=gate", "gateway", "gateway gate"}, {"[1].alias", " gateway", ""},
			{"[0]", "127.0.0.1\tlocalhost\n", ""},
			{"[+].canonical=ip6;;[2].ipaddr=::1", "way out\n", "way out\n::1\tip6\n"}},
		"10.0.0.1 gw\n10.0.0.2\n", 2, 9},
	{"Fstab.lns",
		"# root\n/dev/vda1  /      ext4  errors=remount-ro,noatime  0  1\n"
		"tmpfs      /tmp   tmpfs defaults                  0  0\n",
		"[0].spec=/dev/vda1\n[0].file=/"
		"\n[0].vfstype=ext4\n[0].opt[0].#value=errors\n[0].opt[0].value=remount-ro\n"
		"[0].opt[1]=noatime\n[0].dump=0\n[0].passno=1\n[1].spec=tmpfs\n[1].file=/"
		"tmp\n[1].vfstype=tmpfs\n"
		"[1].opt=defaults\n[1].dump=0\n[1].passno=0",
		{{"[0].opt[0].value=continue", "remount-ro", "continue"}, {"[0].opt[1]", ",noatime", ""},
			{"[0].opt[0]", "errors=remount-ro,", ""},
			{"[0].opt[+]=nodev", "noatime", "noatime,nodev"},
			{"[1].opt=noexec", "defaults", "noexec"},
			{"[1].opt[+]=nodev", "defaults", "defaults,nodev"},
			{"[+].spec=LABEL=x;;[2].file=/x;;[2].vfstype=xfs;;[2].opt=ro", "0  0\n",
				"0  0\nLABEL=x\t/x\txfs\tro\n"}},
		"/dev/vda1 / ext4 defaults 0 1\n/dev/vdb1\n", 2, 10},
	{"Sysctl.lns", "# forwarding\nnet.ipv4.ip_forward=0\n#kernel.panic = 10\nvm.swappiness = 60\n",
		"net\\.ipv4\\.ip_forward=0\nvm\\.swappiness=60",
		{{"net\\.ipv4\\.ip_forward=1", "forward=0", "forward=1"},
			{"kernel\\.panic=5", "panic = 10\n", "panic = 10\nkernel.panic=5\n"},
			{"vm\\.overcommit_memory=2", "= 60\n", "= 60\nvm.overcommit_memory = 2\n"},
			{"vm\\.swappiness", "vm.swappiness = 60\n", ""}},
		"a=1\n=2\n", 2, 1},
	{"Httpd.lns",
		"ServerName  www.example\n<VirtualHost *:80>\n    DocumentRoot \"/srv/www\"   \n    "
		"<Directory \"/srv/www\">\n"
		"        Require all granted\n    </Directory>\n</VirtualHost>\n# end\nListen 80\n",
		"directive[0].#value=ServerName\ndirective[0].arg=www.example\nVirtualHost[0].arg=*:80\n"
		"VirtualHost[0].directive[0].#value=DocumentRoot\nVirtualHost[0].directive[0].arg=\"/srv/"
		"www\"\n"
		"VirtualHost[0].Directory[0].arg=\"/srv/www\"\n"
		"VirtualHost[0].Directory[0].directive[0].#value=Require\n"
		"VirtualHost[0].Directory[0].directive[0].arg[0]=all\n"
		"VirtualHost[0].Directory[0].directive[0].arg[1]=granted\ndirective[1].#value="
		"Listen\ndirective[1].arg=80",
		{{"directive[1].arg=8080", "Listen 80", "Listen 8080"},
			{"VirtualHost[0].Directory[0].directive[0].arg[1]=denied", "granted", "denied"},
			{"VirtualHost[0].arg=*:8080", "*:80", "*:8080"},
			{"directive[+].#value=Timeout;;directive[2].arg=60", "Listen 80\n",
				"Listen 80\nTimeout 60\n"},
			{"directive[0]", "ServerName  www.example\n", ""},
			{"VirtualHost[0].Directory[0]",
				"    <Directory \"/srv/www\">\n        Require all granted\n    "
				"</Directory>\n",
				""}},
		"Listen 80\n<VirtualHost *:80>\n", 3, 1},
	{"Postgresql.lns",
		"# connections\nlisten_addresses = 'localhost'\t# where\nport = 5432\n#max_connections = 50\n"
		"shared_buffers=128MB\n",
		"listen_addresses=localhost\nport=5432\nshared_buffers=128MB",
		{{"listen_addresses=*", "'localhost'", "'*'"}, {"port=5433", "5432", "5433"},
			{"max_connections=90", "connections = 50\n",
				"connections = 50\nmax_connections = 90\n"},
			{"work_mem=4MB", "128MB\n", "128MB\nwork_mem=4MB\n"}, {"port", "port = 5432\n", ""}},
		"port = 5432\n= 1\n", 2, 1},
	{"Php.lns",
		"; engine\n[PHP]\nmemory_limit = 128M\n;display_errors = "
		"Off\nerror_log=\"/var/log/php.log\"\n\n[Date]\n"
		"date.timezone = UTC\n",
		"PHP[0].memory_limit=128M\nPHP[0].error_log=/var/log/php.log\nDate[0].date\\.timezone=UTC",
		{{"PHP[0].memory_limit=1G", "128M", "1G"},
			{"PHP[0].error_log=/x.log", "\"/var/log/php.log\"", "\"/x.log\""},
			{"PHP[0].display_errors=On", "errors = Off\n", "errors = Off\ndisplay_errors = On\n"},
			{"Date[0].date\\.timezone=Europe/Rome", "UTC", "Europe/Rome"},
			{"PHP[0].memory_limit", "memory_limit = 128M\n", ""}},
		"[PHP]\na = 1\n]\n", 3, 1},
	{"Logrotate.lns",
		"# all\nweekly\nrotate 4\n\n/var/log/app.log {\n    rotate 7\n    missingok\n    postrotate\n"
		"        systemctl reload app\n    endscript\n}\n",
		"schedule=weekly\nrotate=4\nrule[0].file=/var/log/"
		"app.log\nrule[0].rotate=7\nrule[0].missingok=missingok\n"
		"rule[0].postrotate=        systemctl reload app",
		{{"rotate=8", "rotate 4", "rotate 8"}, {"schedule=daily", "weekly", "daily"},
			{"rule[0].rotate=9", "rotate 7", "rotate 9"},
			{"rule[0].missingok", "    missingok\n", ""},
			{"rule[0].compress=compress", "endscript\n", "endscript\n\tcompress\n"}},
		"weekly\n/var/log/a {\n  rotate x\n}\n", 3, 1},
	{"Cron.lns",
		"# jobs\nSHELL=/bin/sh\n17 *  * * * root  /usr/bin/hourly --all\n@daily  backup  "
		"/usr/bin/backup\n",
		"SHELL=/bin/sh\nentry[0].#value=/usr/bin/hourly "
		"--all\nentry[0].time[0].minute=17\nentry[0].time[0].hour=*\n"
		"entry[0].time[0].dayofmonth=*\nentry[0].time[0].month=*\nentry[0].time[0].dayofweek=*\n"
		"entry[0].user=root\nentry[1].#value=/usr/bin/"
		"backup\nentry[1].schedule=daily\nentry[1].user=backup",
		{{"entry[0].time[0].minute=5", "17", "5"}, {"entry[1].user=root", "backup ", "root "},
			{"entry[0].#value=/bin/true", "/usr/bin/hourly --all", "/bin/true"},
			{"MAILTO=root", "/bin/sh\n", "/bin/sh\nMAILTO=root\n"},
			{"entry[0]", "17 *  * * * root  /usr/bin/hourly --all\n", ""}},
		"SHELL=/bin/sh\n17 * *\n", 2, 3},
	{"Resolv.lns",
		"# dns\nnameserver 10.0.0.1\nnameserver   10.0.0.2\nsearch example test\noptions ndots:2 "
		"rotate\n",
		"nameserver[0]=10.0.0.1\nnameserver[1]=10.0.0.2\nsearch[0].domain[0]=example\nsearch[0]."
		"domain[1]=test\n"
		"options[0].ndots=2\noptions[0].rotate=",
		{{"nameserver[1]=10.0.0.3", "10.0.0.2", "10.0.0.3"},
			{"nameserver[0]", "nameserver 10.0.0.1\n", ""},
			{"nameserver[+]=::1", "10.0.0.2\n", "10.0.0.2\nnameserver   ::1\n"},
			{"search[0].domain[+]=x", "example test", "example test x"},
			{"options[0].ndots=3", "ndots:2", "ndots:3"}, {"options[0].rotate", " rotate", ""},
			{"nameserver", "nameserver 10.0.0.1\nnameserver   10.0.0.2\n", ""}},
		"nameserver 10.0.0.1\nwhat 1\n", 2, 1},
	{"Samba.lns",
		"[global]\n   workgroup = HOME\n;  log level = 1\n\n[share]\n\tpath=/srv/share\n\twritable "
		"= yes\n",
		"target[0].#value=global\ntarget[0].workgroup=HOME\ntarget[1].#value=share\ntarget[1].path=/"
		"srv/share\n"
		"target[1].writable=yes",
		{{"target[0].workgroup=LAB", "HOME", "LAB"},
			{"target[1].guest ok=no", "writable = yes\n", "writable = yes\n\tguest ok = no\n"},
			{"target[0].log level=3", "level = 1\n", "level = 1\n   log level = 3\n"},
			{"target[1].#value=data", "[share]", "[data]"},
			{"target[1].path", "\tpath=/srv/share\n", ""},
			{"target[+].#value=new;;target[2].path=/new", "writable = yes\n",
				"writable = yes\n[new]\n   path = /new\n"}},
		"[global]\nxx = 1\n[share\n", 3, 1},
	{"Sudoers.lns", "Defaults  env_reset,secure_path=\"/usr/bin:/bin\"\nroot ALL=(ALL:ALL) ALL\n",
		"Defaults[0].env_reset=\nDefaults[0].secure_path=\"/usr/bin:/bin\"\nspec[0].user=root\n"
		"spec[0].host_group[0].host=ALL\nspec[0].host_group[0].command[0].#value=ALL\n"
		"spec[0].host_group[0].command[0].runas_user=ALL\nspec[0].host_group[0].command[0].runas_"
		"group=ALL",
		{{"spec[0].user=%admin", "root", "%admin"},
			{"Defaults[0].secure_path=\"/bin\"", "\"/usr/bin:/bin\"", "\"/bin\""},
			{"Defaults[0].env_reset", "env_reset,", ""}},
		"root ALL=(ALL:ALL) ALL\nroot\n", 2, 5},
	{"Chrony.lns", "# time\npool  ntp.example iburst\nserver 10.0.0.1 prefer\nmakestep 1.0 3\nrtcsync\n",
		"pool[0].#value=ntp.example\npool[0].iburst=\nserver[0].#value=10.0.0.1\nserver[0].prefer=\n"
		"makestep[0].threshold=1.0\nmakestep[0].limit=3\nrtcsync=",
		{{"pool[0].#value=time.example", "ntp.example", "time.example"},
			{"makestep[0].limit=-1", "1.0 3", "1.0 -1"}, {"rtcsync", "rtcsync\n", ""},
			{"server[+].#value=::1;;server[1].iburst=", "prefer\n",
				"prefer\nserver ::1 iburst\n"},
			{"pool[0].maxpoll=9", "iburst", "iburst maxpoll 9"}},
		"rtcsync\npool\n", 2, 5},
	{"Exports.lns", "/srv  10.0.0.0/24(rw,sync)  backup(ro)\n",
		"dir[0].#value=/srv\ndir[0].client[0].#value=10.0.0.0/24\ndir[0].client[0].option[0]=rw\n"
		"dir[0].client[0].option[1]=sync\ndir[0].client[1].#value=backup\ndir[0].client[1].option=ro",
		{{"dir[0].client[0].option[0]=ro", "rw", "ro"}, {"dir[0].client[0].option[1]", ",sync", ""},
			{"dir[0].client[1].#value=mirror", "backup", "mirror"}},
		"/srv a(rw)\n/srv b(\n", 2, 7},
	{"Dnsmasq.lns", "# dns\nport=53\n#domain-needed\nserver=10.0.0.1\nserver=10.0.0.2\nlog-queries\n",
		"port=53\nserver[0]=10.0.0.1\nserver[1]=10.0.0.2\nlog-queries=",
		{{"port=5353", "53", "5353"}, {"server[1]=::1", "10.0.0.2", "::1"},
			{"domain-needed=", "#domain-needed\n", "#domain-needed\ndomain-needed\n"},
			{"server[0]", "server=10.0.0.1\n", ""}, {"log-queries", "log-queries\n", ""}},
		"port=53\n=1\n", 2, 1},
	{"Json.lns", "{\n  \"a\": 1,\n  \"b\": [\"x\", \"y\"]\n}\n",
		"dict[0].entry[0].#value=a\ndict[0].entry[0].number=1\ndict[0].entry[1].#value=b\n"
		"dict[0].entry[1].array[0].string[0]=x\ndict[0].entry[1].array[0].string[1]=y",
		{{"dict[0].entry[0].number=2", "1", "2"},
			{"dict[0].entry[1].array[0].string[1]=z", "\"y\"", "\"z\""}},
		"{\n  \"a\": 1,,\n}\n", 2, 10},
	{0}};
