/* Owns one server process and its directory. */
#include "tests/unit/io/db/mariadb_server.h"

#include <mysql.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char users[] = "ALTER USER root@localhost IDENTIFIED BY \"" MARIADB_PASSWORD "\";"
                            "CREATE USER app@'%' IDENTIFIED BY \"" MARIADB_PASSWORD "\";"
                            "GRANT PROCESS ON *.* TO app@'%';"
                            "GRANT ALL ON `t%`.* TO app@'%'";

/* One text over the socket, as root. Also the question whether it is up: the library's ping needs a session. */
static int tell(const struct mariadb_server *server, const char *password, const char *sql)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/s", server->throwaway.dir);
    MYSQL *c = mysql_init(NULL);
    int rc = -1;
    if (mysql_real_connect(c, NULL, "root", password, NULL, 0, path, CLIENT_MULTI_STATEMENTS) !=
        NULL) {
        rc = mysql_query(c, sql) != 0 ? -1 : 0;
        while (rc == 0 && mysql_next_result(c) == 0) {
        }
        if (mysql_errno(c) != 0) {
            fprintf(stderr, "MariaDB: %s\n", mysql_error(c));
            rc = -1;
        }
    }
    mysql_close(c);
    return rc;
}

static int up(struct mariadb_server *server, const char *password)
{
    const char *dir = server->throwaway.dir;
    char data[96], at[96], port[32], pid_file[96], log[96], temporary[96];
    snprintf(data, sizeof(data), "--datadir=%s/data", dir);
    snprintf(at, sizeof(at), "--socket=%s/s", dir);
    snprintf(port, sizeof(port), "--port=%d", server->port);
    snprintf(pid_file, sizeof(pid_file), "--pid-file=%s/pid", dir);
    snprintf(log, sizeof(log), "%s/log", dir);
    /* A server that starts empties its folder of temporary tables: two must not share one. */
    snprintf(temporary, sizeof(temporary), "--tmpdir=%s/data", dir);
    const char *argv[] = {"/usr/sbin/mariadbd",
                          "--no-defaults",
                          data,
                          at,
                          port,
                          pid_file,
                          temporary,
                          "--bind-address=127.0.0.1",
                          "--skip-name-resolve",
                          "--performance-schema=ON",
                          "--innodb-flush-log-at-trx-commit=0",
                          "--innodb-buffer-pool-size=32M",
                          "--max-connections=80",
                          NULL};
    server->pid = throwaway_spawn(&server->throwaway, argv, log);
    for (int i = 0; i < THROWAWAY_TRIES; i++) {
        if (tell(server, password, "DO 1") == 0) {
            return 0;
        }
        if (waitpid(server->pid, NULL, WNOHANG) > 0) {
            break;
        }
        usleep(THROWAWAY_US);
    }
    fprintf(stderr, "MariaDB did not start; see %s\n", log);
    return -1;
}

int mariadb_server_up(struct mariadb_server *server)
{
    return up(server, MARIADB_PASSWORD);
}

int mariadb_server_start(struct mariadb_server *server, void (*before_clean)(const char *dir))
{
    *server = (struct mariadb_server){.port = throwaway_port(),
                                      .throwaway = {.user = "mysql",
                                                    .pid_file = "pid",
                                                    .stop_signal = SIGKILL,
                                                    .before_clean = before_clean}};
    if (throwaway_start(&server->throwaway, "ls-mdu") < 0) {
        return -1;
    }
    char data[96], log[96];
    snprintf(data, sizeof(data), "--datadir=%s/data", server->throwaway.dir);
    snprintf(log, sizeof(log), "%s/log", server->throwaway.dir);
    const char *argv[] = {"/usr/bin/mariadb-install-db",
                          "--no-defaults",
                          "--auth-root-authentication-method=normal",
                          "--skip-test-db",
                          "--innodb-log-file-size=8M",
                          data,
                          NULL};
    int status = -1;
    pid_t pid = throwaway_spawn(&server->throwaway, argv, log);
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "mariadb-install-db failed (apt-get install mariadb-server?); see %s\n",
                log);
        return -1;
    }
    return up(server, NULL) == 0 ? tell(server, NULL, users) : -1;
}

void mariadb_server_stop(struct mariadb_server *server, int signal_number)
{
    if (server->pid > 0) {
        kill(server->pid, signal_number);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

void mariadb_server_free(struct mariadb_server *server)
{
    if (server->throwaway.janitor_fd > 0) {
        mariadb_server_stop(server, SIGKILL);
        throwaway_end(&server->throwaway);
    }
}
