-- Note that the acting member of staff looks at this report, and return the note's id; NULL where there is no such report.
CREATE OR REPLACE FUNCTION public.moderation_note_look(report uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    staff uuid := public.moderation_require_staff();
    legacy boolean := NOT EXISTS (SELECT FROM public.moderation_report AS r WHERE r.id = report);
    noted bigint;
BEGIN
    IF legacy AND NOT EXISTS (SELECT FROM public.moderation_legacy_reports() AS r WHERE r.id = report) THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.moderation_look (report_id, is_legacy, staff_id) VALUES (report, legacy, staff) RETURNING id INTO noted;
    RETURN noted;
END
$$;
