/* Linked into the static binary (`make static`). glibc's getaddrinfo and getpwnam load the modules that /etc/nsswitch.conf names,
 * and a static program that loads one built for another libc crashes. This says, before main, that the files and DNS are asked
 * and nothing else, as musl does. nss.h, and glibc's manual under "Name Service Switch". */
#include <nss.h>

__attribute__((constructor)) static void name_services(void)
{
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("services", "files");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("group", "files");
    __nss_configure_lookup("initgroups", "files");
}
