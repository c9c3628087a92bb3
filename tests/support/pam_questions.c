/* A PAM module for the tests: asks for what its arguments say and checks the answers.
 *
 *   auth required MODULE password=SECRET [notice=TEXT] [code=DIGITS]
 *
 * It asks for the password without echo; then, with code=, tells the notice and asks for the code with echo. Account,
 * credentials and session are always fine. '_' in a notice stands for a space, as arguments have none. */
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>

static const char* argument(int argc, const char** argv, const char* name) {
  size_t length = strlen(name);
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return argv[i] + length + 1;
  }
  return NULL;
}

/* The answer, to be freed; NULL: there is none. */
static char* converse(pam_handle_t* pam, int style, const char* text) {
  const void* item = NULL;
  if (pam_get_item(pam, PAM_CONV, &item) != PAM_SUCCESS || item == NULL) return NULL;
  const struct pam_conv* conversation = item;
  struct pam_message message = {style, text};
  const struct pam_message* messages = &message;
  struct pam_response* response = NULL;
  if (conversation->conv(1, &messages, &response, conversation->appdata_ptr) != PAM_SUCCESS || response == NULL)
    return NULL;
  char* answer = response->resp;
  free(response);
  return answer;
}

static int matches(char* answer, const char* expected) {
  int same = answer != NULL && strcmp(answer, expected) == 0;
  free(answer);
  return same;
}

int pam_sm_authenticate(pam_handle_t* pam, int flags, int argc, const char** argv) {
  (void)flags;
  const char* password = argument(argc, argv, "password");
  const char* code = argument(argc, argv, "code");
  const char* notice = argument(argc, argv, "notice");
  if (password == NULL || !matches(converse(pam, PAM_PROMPT_ECHO_OFF, "Password: "), password)) return PAM_AUTH_ERR;
  if (code == NULL) return PAM_SUCCESS;
  if (notice != NULL) {
    char* text = strdup(notice);
    if (text == NULL) return PAM_BUF_ERR;
    for (char* at = text; *at != '\0'; ++at) {
      if (*at == '_') *at = ' ';
    }
    free(converse(pam, PAM_TEXT_INFO, text));
    free(text);
  }
  return matches(converse(pam, PAM_PROMPT_ECHO_ON, "Code: "), code) ? PAM_SUCCESS : PAM_AUTH_ERR;
}

#define ALWAYS_FINE(name)                                              \
  int name(pam_handle_t* pam, int flags, int argc, const char** argv) { \
    (void)pam, (void)flags, (void)argc, (void)argv;                    \
    return PAM_SUCCESS;                                                \
  }
ALWAYS_FINE(pam_sm_setcred)
ALWAYS_FINE(pam_sm_acct_mgmt)
ALWAYS_FINE(pam_sm_open_session)
ALWAYS_FINE(pam_sm_close_session)
ALWAYS_FINE(pam_sm_chauthtok)
