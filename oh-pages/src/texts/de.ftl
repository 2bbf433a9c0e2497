# Deutsch. `$app` ist der Name der Anwendung, `$count` eine Anzahl.

## Alle Seiten
skip-to-content = Zum Inhalt springen
navigation = Seiten
back-to-app = Zurück zu { $app }
cancel = Abbrechen
unknown = unbekannt

## Mitgliederseite
home-title = Ihre Verbindung
welcome-title = { $app } und Open Humans
welcome-text = Verbinden Sie Ihr Open-Humans-Konto, um Ihre eigenen Daten hier zu nutzen. Sie entscheiden, was Sie teilen, und können die Verbindung jederzeit trennen.
log-in = Mit Open Humans anmelden
connected-as = Verbunden als
connected-since = Verbunden seit
member-id = Ihre ID in diesem Projekt
username-private = Mitglied mit privatem Benutzernamen
shared-title = Was Sie teilen
shared-sources = { $app } kann eigene Dateien und Dateien aus diesen Quellen lesen:
shared-nothing = { $app } kann nur Dateien lesen, die von { $app } selbst in Ihrem Konto gespeichert wurden.
shared-unknown = Open Humans konnte nicht abgefragt werden. Bitte versuchen Sie es in einigen Minuten erneut.
change-sharing = Bei Open Humans ansehen und ändern
log-out = Abmelden
log-out-text = Die Verbindung bleibt bestehen. Sie können sich jederzeit wieder anmelden.
leave-title = { $app } verlassen
leave-text = Trennen Sie Ihr Konto und entscheiden Sie, was hier mit Ihren Daten geschieht.
disconnect = Verbindung trennen

## An- und Abmeldung
not-logged-in-title = Sie sind nicht angemeldet
log-in-title = Anmelden
log-in-confirm = Eine andere Website hat Sie hierher geleitet. Melden Sie sich nur an, wenn Sie das möchten.
try-again = Erneut versuchen
# Auf Englisch liefert oh-core diese Texte (LoginFailure::explain).
login-failed-access-denied-title = Sie wurden nicht angemeldet
login-failed-access-denied = Sie haben { $app } bei Open Humans nicht autorisiert. Es wurden keine Daten geteilt.
login-failed-rejected-title = Sie wurden nicht angemeldet
login-failed-incomplete-callback-title = Dieser Link ist unvollständig
login-failed-incomplete-callback = Open Humans leitet Sie nach der Anmeldung auf diese Adresse weiter. Direkt aufrufen lässt sie sich nicht.
login-failed-state-missing-title = In diesem Browser wurde keine Anmeldung begonnen
login-failed-state-missing = Die Anmeldung wurde in einem anderen Browser begonnen, oder das Cookie wurde nicht gespeichert. Bitte erlauben Sie Cookies für diese Website und melden Sie sich erneut an.
login-failed-state-mismatch-title = Diese Anmeldung gehört zu einem anderen Browser
login-failed-state-mismatch = Aus Sicherheitsgründen müssen Sie die Anmeldung in dem Browser abschließen, in dem Sie sie begonnen haben.
login-failed-state-expired-title = Die Anmeldung hat zu lange gedauert
login-failed-state-expired = Eine Anmeldung muss innerhalb von 30 Minuten abgeschlossen werden.
login-failed-state-used-title = Diese Anmeldung ist bereits abgeschlossen
login-failed-state-used = Jede Anmeldung gilt nur einmal. Bitte melden Sie sich erneut an.
login-failed-code-expired-title = Die Anmeldung hat zu lange gedauert
login-failed-code-expired = Open Humans akzeptiert diese Autorisierung nicht mehr. Bitte melden Sie sich erneut an.
login-failed-invalid-client-title = { $app } ist nicht richtig eingerichtet
login-failed-invalid-client = Open Humans lehnt die Zugangsdaten von { $app } ab. Das liegt nicht an Ihnen. Der Betreiber muss den Fehler beheben.
login-failed-deauthorized-title = Ihre Autorisierung wurde widerrufen
login-failed-deauthorized = Sie haben dieses Projekt bei Open Humans verlassen, nachdem Sie die Anmeldung begonnen hatten. Um wieder teilzunehmen, melden Sie sich bitte erneut an.
login-failed-deauth-pending-title = Bitte warten Sie einen Moment
login-failed-deauth-pending = Sie haben dieses Projekt früher verlassen. Möglicherweise löscht { $app } noch Ihre alten Daten. Bitte melden Sie sich in einer Minute erneut an.
login-failed-authorization-error-title = Open Humans hat die Anmeldung nicht autorisiert
login-failed-authorization-error = Das liegt nicht an Ihnen. Bitte versuchen Sie es später erneut.
login-failed-open-humans-title = Open Humans ist nicht erreichbar
login-failed-open-humans = { error-open-humans }
login-failed-store-title = Es ist ein Fehler aufgetreten
login-failed-store = Ihre Anmeldung konnte nicht gespeichert werden. Bitte versuchen Sie es in einigen Minuten erneut.

## Verbindung trennen
disconnect-title = { $app } von Open Humans trennen?
disconnect-text = { $app } kann danach in Ihrem Open-Humans-Konto nichts mehr lesen oder speichern. Sie werden hier abgemeldet.
disconnect-data = Ihre Daten bei { $app }
disconnect-keep = Daten behalten
disconnect-keep-text = Ihre Daten bleiben gespeichert, falls Sie wiederkommen. Sie können die Löschung später beantragen.
disconnect-erase = Daten löschen
disconnect-erase-text = Alle Daten, die { $app } über Sie gespeichert hat, werden gelöscht. Das lässt sich nicht rückgängig machen.

## Dateien
files-title = Ihre Dateien
files-text = Dateien in Ihrem Open-Humans-Konto, die { $app } lesen kann.
files-empty = Noch keine Dateien vorhanden.
file-count =
    { $count ->
        [one] { $count } Datei
       *[other] { $count } Dateien
    }
file-name = Name
file-type = Typ
file-tags = Schlagwörter
file-date = Hinzugefügt
file-actions = Aktionen
file-description = Beschreibung
file-other-source = aus einer anderen Quelle, mit { $app } geteilt
download = Herunterladen
edit = Bearbeiten
delete = Löschen
action-on-file = { $file }: { $action }
page-of = Seite { $page } von { $pages }
next-page = Weiter
previous-page = Zurück
upload-title = Datei hinzufügen
upload-text = Die Datei wird in Ihrem Open-Humans-Konto gespeichert.
upload-file = Datei
description-hint = Eine kurze Beschreibung des Inhalts.
tags-hint = Schlagwörter durch Kommas trennen.
upload = Hochladen
uploading = Wird hochgeladen: { $percent } %
upload-storing = Open Humans speichert die Datei.
upload-interrupted = Der Upload wurde unterbrochen. Bitte versuchen Sie es erneut.
edit-title = { $file } bearbeiten
edit-text = Open Humans kann die Angaben zu einer Datei nicht ändern. Die Datei wird daher neu gespeichert und die alte Kopie gelöscht. Der Inhalt bleibt unverändert.
save = Speichern
delete-title = { $file } löschen?
delete-text = Die Datei wird aus Ihrem Open-Humans-Konto gelöscht. Das lässt sich nicht rückgängig machen.
delete-all = Alle löschen
delete-all-title = Alle Dateien von { $app } löschen?
delete-all-text =
    { $count ->
        [one] { $count } Datei, die { $app } in Ihrem Open-Humans-Konto gespeichert hat, wird gelöscht.
       *[other] { $count } Dateien, die { $app } in Ihrem Open-Humans-Konto gespeichert hat, werden gelöscht.
    } Dateien aus anderen Quellen bleiben erhalten. Das lässt sich nicht rückgängig machen.

## Bestätigungen
done-uploaded = Die Datei wurde hochgeladen.
done-edited = Ihre Änderungen wurden gespeichert.
done-edited-duplicate = Ihre Änderungen wurden in einer neuen Datei gespeichert. Die alte Datei konnte nicht gelöscht werden. Bitte löschen Sie sie selbst.
done-deleted = Die Datei wurde gelöscht.
done-deleted-all = Alle Dateien dieser App wurden gelöscht.
done-disconnected = Die Verbindung wurde getrennt. Ihre Daten bleiben hier gespeichert.
done-erasing = Die Verbindung wurde getrennt. Ihre Daten werden gelöscht.
done-requeued = Das Ereignis ist wieder in der Warteschlange.
done-released = Das Ereignis wurde freigegeben.
done-released-all = Alle Ereignisse in Quarantäne wurden freigegeben.

## Fehler
error-title = Das hat nicht funktioniert
error-cross-site = Die Anfrage kam nicht von einer Seite dieser App und wurde ignoriert.
error-not-logged-in = Sie sind nicht angemeldet.
error-not-found = Diese Seite gibt es nicht.
error-method-not-allowed = Diese Seite unterstützt die Anfragemethode nicht.
error-bad-request = Die Anfrage ist ungültig.
error-internal = Es ist ein Fehler aufgetreten. Bitte versuchen Sie es in einigen Minuten erneut.
error-no-such-file = Diese Datei gibt es nicht, oder sie wird nicht mehr geteilt.
error-not-own-file = Diese Datei stammt aus einer anderen Quelle und kann nur dort geändert werden.
error-no-file = Sie haben keine Datei ausgewählt.
error-empty-file = Die Datei ist leer.
error-too-large = Der Upload oder das Formular ist zu groß.
error-bad-form = Das Formular konnte nicht gelesen werden.
error-invalid = Open Humans akzeptiert das nicht: { $detail }.
error-disconnected = Sie sind nicht mehr verbunden. Bitte melden Sie sich erneut an.
error-timeout = Open Humans hat nicht rechtzeitig geantwortet. Bitte versuchen Sie es erneut.
error-open-humans = Open Humans hat nicht wie erwartet geantwortet. Bitte versuchen Sie es in einigen Minuten erneut.
error-store = { error-internal }
error-staff-only = Diese Seite ist nur für Mitarbeitende von { $app }.
error-not-quarantined = Das Ereignis ist nicht oder nicht mehr in Quarantäne.
error-not-requeued = { requeue-superseded }

## Lösch-Übersicht
dashboard-title = Lösch-Übersicht
dashboard-text = Ausgetretene Mitglieder und der Status ihrer Daten.
member-search = Mitglied suchen
ledger-export = Export
list-all = Alle
list-all-text = Alle Ereignisse, unabhängig vom Status.
list-pending = Offen
list-pending-text = Warten auf den Worker, werden gerade bearbeitet oder warten auf einen neuen Versuch.
list-overdue = Überfällig
list-overdue-text = Vor mehr als 30 Tagen eingegangen und noch nicht erledigt. Für Löschanträge gilt eine gesetzliche Frist von einem Monat (Art. 12 Abs. 3 DSGVO). Öffnen Sie die Ereignisse, um die Ursache zu finden: Beheben Sie bei fehlgeschlagenen Ereignissen den Fehler und stellen Sie sie erneut in die Warteschlange. Prüfen Sie bei offenen Ereignissen, ob der Worker läuft.
list-dead-letter = Fehlgeschlagen
list-dead-letter-text = Der Handler der App ist zu oft fehlgeschlagen, daher gibt es keine weiteren Versuche. Möglicherweise sind die Daten des Mitglieds noch vorhanden. Lesen Sie die letzte Fehlermeldung, beheben Sie die Ursache und stellen Sie das Ereignis erneut in die Warteschlange.
list-done = Erledigt
list-done-text = Der Handler der App ist fertig. Vom Mitglied ist hier nur noch ein Pseudonym gespeichert.
list-stale = Überholt
list-stale-text = Älter als die letzte Autorisierung des Mitglieds. Das Mitglied nimmt wieder teil, daher wurde nichts gelöscht.
list-quarantined = In Quarantäne
list-quarantined-text = Nicht bearbeitet, weil etwas nicht stimmt: Ungewöhnlich viele Mitglieder scheinen ausgetreten zu sein, ein Webhook kam Tage zu spät an, oder ein Mitglied hat hier die Löschung beantragt und konnte bei Open Humans nicht entfernt werden. Den Grund finden Sie im Verlauf des Ereignisses. Nach dem Einspielen eines Backups oder mit falschen Zugangsdaten scheinen alle Mitglieder ausgetreten zu sein. Prüfen Sie, ob Datenbank und Zugangsdaten stimmen, und geben Sie dann die echten Ereignisse frei.
state-pending = Offen
state-done = Erledigt
state-dead-letter = Fehlgeschlagen
state-stale = Überholt
state-quarantined = In Quarantäne
release = Freigeben
release-all = Alle freigeben
release-all-title =
    { $count ->
        [one] { $count } Ereignis in Quarantäne freigeben?
       *[other] Alle { $count } Ereignisse in Quarantäne freigeben?
    }
release-all-text = Die Tokens dieser Mitglieder werden vernichtet und ihre Daten gemäß den Regeln der App gelöscht. Das lässt sich nicht rückgängig machen.
events-empty = Diese Liste enthält keine Ereignisse.
attention = Handlungsbedarf
attention-none = Kein Handlungsbedarf.
oldest-pending = Ältestes offenes Ereignis
running = In Bearbeitung
running-none = Zurzeit wird kein Ereignis bearbeitet.
background = Hintergrundprozesse
worker = Worker
worker-text = Bearbeitet Löschanträge und andere Austritte.
reconciler = Abgleich
reconciler-text = Findet Mitglieder, die ohne Benachrichtigung ausgetreten sind.
worker-alive = läuft, letztes Lebenszeichen vor { $ago }
worker-silent = kein Lebenszeichen seit { $ago }
reconciler-active = läuft
reconciler-finished = letzter Durchlauf vor { $ago }
never-seen = noch nie gelaufen
worker-hint = Falls der Worker laufen sollte: Prüfen Sie den Prozess, der die Hintergrundprozesse startet, und lesen Sie sein Log.
checkpoint-title = Nachweis
checkpoint-text = Das Protokoll wird regelmäßig signiert. Mit einem Prüfpunkt lässt sich später feststellen, ob eine frühere Zeile geändert, entfernt oder eingefügt wurde. Geben Sie Prüfpunkte an Ihre Prüfer weiter.
checkpoint-covers =
    { $count ->
        [one] umfasst { $count } Zeile, signiert vor { $ago }
       *[other] umfasst { $count } Zeilen, signiert vor { $ago }
    }
checkpoint-note = Letzter Prüfpunkt
checkpoint-download = Prüfpunkt herunterladen
checkpoint-none = nicht signiert
checkpoint-no-key = Bisher wurde nichts signiert. Dafür ist ein Schlüssel nötig, den Sie mit oh ledger keygen erzeugen.
checkpoint-not-yet = Bisher wurde nichts signiert. Der erste Prüfpunkt entsteht innerhalb einer Minute, sobald die Hintergrundprozesse laufen.
checkpoint-conflict = Das Protokoll passt nicht zum letzten Prüfpunkt
checkpoint-conflict-text = Falls Sie ein Backup eingespielt haben, verwenden Sie ab jetzt einen neuen Namen und einen neuen Schlüssel. Andernfalls hat jemand die Datenbank verändert.
durations-title = Bearbeitungsdauer
durations-text =
    { $count ->
        [one] Das letzte erledigte Ereignis, vom Eingang bis zum Abschluss.
       *[other] Die letzten { $count } erledigten Ereignisse, vom Eingang bis zum Abschluss.
    }
duration-median = Median
duration-p95 = 95. Perzentil
duration-max = Maximum
plot-received = Eingegangene Ereignisse
plot-received-text = Die letzten { $count } nach Eingangsdatum. Offene Ereignisse sind hervorgehoben.
plot-duration = Bearbeitungsdauer im Zeitverlauf
plot-duration-text = Median und Maximum je Zeitraum, auf einer logarithmischen Skala.
plot-table = Als Tabelle anzeigen
plot-start = Ab
plot-open = offen
plot-median = Median
plot-max = Maximum
received = Eingegangen
state = Status
pseudonym = Mitglied (Pseudonym)
erasure = Löschung
discovery = Erkannt durch
attempts = Versuche
duration = Dauer
waiting-for = wartet seit { $ago }
left-at = Ausgetreten
settled-at = Abgeschlossen
due-at = Nächster Versuch
event = Ereignis
events = Ereignisse
older = Ältere
newest = Neueste
requeue = Erneut einreihen
requeue-superseded = Dieses Ereignis ist hinfällig: Ein anderes Ereignis desselben Mitglieds ist erledigt, und die ID des Mitglieds wurde gelöscht.
requeue-stale = Reihen Sie das Ereignis nur dann erneut ein, wenn das Mitglied doch nicht wieder teilnimmt. Es wird dann bearbeitet, obwohl es älter als die Autorisierung ist.
history = Verlauf
history-truncated = Die letzten { $count } Zeilen. Der Export enthält alle.
step = Schritt
step-received = Eingegangen
step-tokens-destroyed = Tokens vernichtet, Sitzungen beendet
step-tried = Handler aufgerufen
step-failed = Handler fehlgeschlagen
step-done = Erledigt
step-dead-lettered = Endgültig fehlgeschlagen
step-requeued = Erneut eingereiht
step-quarantined = In Quarantäne verschoben
step-released = Freigegeben
step-stale = Als überholt erkannt
attempt = Versuch
note = Anmerkung
time = Zeitpunkt
member-search-label = Projekt-Mitglieds-ID oder Pseudonym
member-search-hint = Die Projekt-Mitglieds-ID hat 8 Ziffern, das Pseudonym 32 Zeichen. Das Protokoll enthält nur Pseudonyme.
search = Suchen
member-not-found = Zu diesem Mitglied liegen keine Einträge vor.
more-than = mehr als { $count }
erasure-requested = beantragt
erasure-not-requested = nicht beantragt
erasure-unknown = unbekannt
discovery-webhook = Webhook
discovery-reconciliation = Abgleich
discovery-token-loss = Token-Verlust
discovery-disconnected = hier getrennt
